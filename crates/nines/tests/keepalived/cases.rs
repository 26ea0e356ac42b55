//! What is tested, by name.

use crate::speech::{V2, V2_PASSWORD, V3, V3_IPV6, V3_IPV6_UNICAST, V3_UNICAST};
use crate::{Test, failover, rules};

pub(crate) const TESTS: &[Test] = &[
    (
        "nines_follows_and_succeeds_keepalived",
        &[
            ("version 2", |inside| failover::follows(inside, V2)),
            ("version 2 with a password", |inside| failover::follows(inside, V2_PASSWORD)),
            ("version 3", |inside| failover::follows(inside, V3)),
            ("version 3, unicast", |inside| failover::follows(inside, V3_UNICAST)),
            ("version 3, IPv6", |inside| failover::follows(inside, V3_IPV6)),
            ("version 3, IPv6, unicast", |inside| failover::follows(inside, V3_IPV6_UNICAST)),
        ],
    ),
    (
        "keepalived_follows_and_succeeds_nines",
        &[
            ("version 2", |inside| failover::leads(inside, V2)),
            ("version 2 with a password", |inside| failover::leads(inside, V2_PASSWORD)),
            ("version 3", |inside| failover::leads(inside, V3)),
            ("version 3, unicast", |inside| failover::leads(inside, V3_UNICAST)),
            ("version 3, IPv6", |inside| failover::leads(inside, V3_IPV6)),
            ("version 3, IPv6, unicast", |inside| failover::leads(inside, V3_IPV6_UNICAST)),
        ],
    ),
    (
        "a_half_migrated_pair_fails_over_both_ways",
        &[
            ("nines preferred", failover::nines_is_lost_first),
            ("keepalived preferred", failover::keepalived_is_lost_first),
            ("as documented", failover::documented),
        ],
    ),
    (
        "of_two_equal_masters_the_higher_address_stays",
        &[
            ("nines", |inside| rules::nines_is_higher(inside, V3)),
            ("nines, IPv6", |inside| rules::nines_is_higher(inside, V3_IPV6_UNICAST)),
            ("keepalived", |inside| rules::keepalived_is_higher(inside, V3)),
            ("keepalived, IPv6", |inside| rules::keepalived_is_higher(inside, V3_IPV6)),
        ],
    ),
    (
        "a_backup_goes_by_its_masters_interval",
        &[("nines", rules::nines_adopts), ("keepalived", rules::keepalived_adopts)],
    ),
    (
        "a_preferred_host_that_may_not_preempt_waits_for_the_others_end",
        &[("nines", rules::nines_waits), ("keepalived", rules::keepalived_waits)],
    ),
    (
        "a_pair_that_begins_with_two_dialects_of_the_checksum_finds_one",
        &[
            ("nines follows", rules::hears_another_dialect),
            ("nines leads", |inside| rules::speaks_another_dialect(inside, V3)),
            ("nines leads, unicast", |inside| rules::speaks_another_dialect(inside, V3_UNICAST)),
        ],
    ),
];
