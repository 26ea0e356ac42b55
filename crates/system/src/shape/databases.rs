//! The shape of databases, and of the coordination by which their hosts agree.

use super::{DAY, PORT, SECOND, SOCKET, key, millis, whole};
use crate::kind::{Kind, Section, Syntax};

static HOST_NAME: Syntax = Syntax { what: "the name of a host", example: "db1" };
static DIRECTORY: Syntax = Syntax { what: "an absolute path", example: "/var/lib/nines/orders" };
static PROGRAMS: Syntax = Syntax { what: "an absolute path", example: "/usr/lib/postgresql/17/bin" };
static OS_USER: Syntax = Syntax { what: "a user of the operating system", example: "postgres" };
static ROLE: Syntax = Syntax { what: "the name of a role", example: "shop" };
static INNER: Syntax = Syntax { what: "the name of a database inside the instance", example: "shop" };
static ACCESS_LINE: Syntax =
    Syntax { what: "a line of `pg_hba.conf`", example: "local all report scram-sha-256" };
static SECRET: Syntax = Syntax { what: "the secret itself", example: "a-long-text-that-nobody-can-guess" };
static SECRET_PATH: Syntax = Syntax { what: "an absolute path", example: "/etc/nines/orders.password" };
static CERTIFICATE: Syntax = Syntax { what: "an absolute path", example: "/etc/nines/orders.crt" };
static PRIVATE_KEY: Syntax = Syntax { what: "an absolute path", example: "/etc/nines/orders.key" };
static CA: Syntax = Syntax { what: "an absolute path", example: "/etc/nines/etcd-ca.crt" };
static MEMBER: Syntax = Syntax {
    what: "a host of `[hosts]`, an address or a DNS name elsewhere, and a port",
    example: "db1:2379",
};
static STORE_DIRECTORY: Syntax = Syntax { what: "an absolute path", example: "/var/lib/nines/coordination" };
static PREFIX: Syntax = Syntax { what: "small letters, digits, `-`, `_` and `.`", example: "shop" };
static ETCD_USER: Syntax = Syntax { what: "a name", example: "nines" };

const SECRET_KIND: Kind = Kind::Either(&[Kind::Text(&SECRET), Kind::Table(&SECRET_FILE)]);

pub(crate) static DATABASE: Section = Section {
    what: "a database",
    about: "A primary, and standbys that follow it. nines makes the instances, watches them, and makes a standby the \
            primary when the primary fails; no write that was acknowledged is lost by that. Its settings are those of \
            an instance of PostgreSQL; the databases inside it are made with `users`.",
    keys: &[
        key("engine", Kind::Word(&["postgresql"]), "What it is: PostgreSQL 13 or newer.").or("postgresql"),
        key(
            "hosts",
            Kind::List(&Kind::Text(&HOST_NAME)),
            "Who has an instance of it, each as good as the others; of those that may take over, the first tries first.",
        )
        .also(&["members", "nodes", "instances", "replicas", "servers"])
        .required(),
        key("port", PORT, "Where clients reach the primary, and only it: the port of nines' gate on each host.")
            .also(&["listen", "bind"])
            .or("5432"),
        key(
            "read_port",
            PORT,
            "The same for clients that only read: a standby that is no further behind than `lag`, or the primary.",
        )
        .also(&["replica_port", "standby_port", "readonly_port"])
        .otherwise("one above `port`"),
        key(
            "admin",
            Kind::Text(&SOCKET),
            "Where `/status`, `/events` and `/metrics` are served over HTTP on each of its hosts, besides the Unix socket. \
             A load balancer on the same host may say the same.",
        )
        .otherwise("the Unix socket only"),
        key("data", Kind::Text(&DIRECTORY), "A directory of nines' own on each host, at most 80 bytes long.")
            .also(&["data_dir", "data_directory", "pgdata", "directory", "path"])
            .otherwise("`/var/lib/nines/NAME`"),
        key("programs", Kind::Text(&PROGRAMS), "Where `postgres`, `initdb` and the others are.")
            .also(&["bin_dir", "bin", "pg_bindir", "binaries", "pgctl"])
            .otherwise("those of the newest version that is installed"),
        key("version", whole(13, 99), "The major version that it must be.").otherwise("whatever is there"),
        key("user", Kind::Text(&OS_USER), "Who it runs as in the operating system, where nines runs as root.")
            .also(&["run_as", "os_user", "owner"])
            .or("postgres"),
        key(
            "confirm",
            whole(0, 31),
            "How many standbys have each write on their disks before it is acknowledged; fewer than there are hosts.",
        )
        .also(&[
            "synchronous_node_count",
            "number_sync_standbys",
            "minSyncReplicas",
            "sync_standbys",
            "quorum",
        ])
        .otherwise("1; 0 where there is one host"),
        key(
            "durability",
            Kind::Word(&["strict", "available"]),
            "When too few standbys can confirm: `strict`: writes wait; `available`: the primary goes on with fewer, \
             and from then on only who has everything may take over.",
        )
        .also(&["synchronous_mode", "synchronous_mode_strict", "synchronous"])
        .or("strict"),
        key(
            "lease",
            millis(200, 60 * SECOND),
            "How long the right to be the primary lasts without being renewed: about how long writes stop when the \
             primary fails.",
        )
        .also(&["ttl", "lease_ttl", "failover_timeout"])
        .or("1500ms"),
        key("heartbeat", millis(20, 20 * SECOND), "How often it is renewed; at most a third of the lease.")
            .also(&["loop_wait", "renew_interval"])
            .otherwise("a sixth of the lease: `\"250ms\"`"),
        key(
            "lag",
            Kind::Size { min: 0, max: 1 << 40 },
            "A standby that is further behind the primary serves no reads, and does not begin to confirm writes.",
        )
        .also(&["maximum_lag", "max_lag", "maximum_lag_on_failover", "maximum_lag_on_syncnode"])
        .or("16MiB"),
        key(
            "switchover_within",
            millis(SECOND, 3600 * SECOND),
            "A planned change of primary that takes longer is given up.",
        )
        .also(&["switchover_timeout"])
        .or("10s"),
        key(
            "tls",
            Kind::Either(&[Kind::Word(&["off"]), Kind::Table(&GATE_TLS)]),
            "How clients' connections are encrypted. `\"off\"`: not.",
        )
        .also(&["ssl"])
        .or("off"),
        key(
            "keep",
            millis(60 * SECOND, 3650 * DAY),
            "How long directories that were set aside are kept: what was there before a copy, or diverged.",
        )
        .also(&["retention"])
        .otherwise("until somebody removes them"),
        key(
            "parameters",
            Kind::Named(&Kind::Setting),
            "Settings of PostgreSQL as in `postgresql.conf`, but those that nines must have in its own hands.",
        )
        .also(&["settings", "config", "conf", "postgresql_conf"])
        .otherwise("PostgreSQL's own, and what nines needs"),
        key(
            "access",
            Kind::List(&Kind::Text(&ACCESS_LINE)),
            "Lines of `pg_hba.conf` that come before the last one, which lets every role in by its password. To \
             PostgreSQL all clients come over a socket of its host: lines begin with `local`, with \
             `mode = \"pass-through\"` also with `host` and its kin, of 127.0.0.1.",
        )
        .also(&["pg_hba", "hba"])
        .otherwise("none"),
        key(
            "users",
            Kind::List(&Kind::Table(&DATABASE_USER)),
            "Roles that are made with the database, once, when it is new.",
        )
        .also(&["roles"])
        .otherwise("none"),
        key(
            "replication_password",
            SECRET_KIND,
            "What standbys show the primary. Needed where there is more than one host.",
        )
        .also(&["replication", "standby_password"])
        .otherwise("none, where there is one host"),
    ],
};

pub(crate) static GATE_TLS: Section = Section {
    what: "a database's tls",
    about: "Encryption of clients' connections.",
    keys: &[
        key(
            "mode",
            Kind::Word(&["terminate", "pass-through"]),
            "Who has the certificate: nines' gate (`terminate`), or PostgreSQL, so that the gate sees nothing and \
             clients' certificates can be asked for (`pass-through`).",
        )
        .or("terminate"),
        key("certificate", Kind::Text(&CERTIFICATE), "The certificate, and those that lead up to its root (PEM).")
            .also(&["cert", "cert_file", "crt", "ssl_cert_file"])
            .required(),
        key("key", Kind::Text(&PRIVATE_KEY), "Its private key (PEM).")
            .also(&["key_file", "private_key", "ssl_key_file"])
            .required(),
    ],
};

pub(crate) static DATABASE_USER: Section = Section {
    what: "a user",
    about: "A role that may log in with its password.",
    keys: &[
        key("name", Kind::Text(&ROLE), "The role's name.").also(&["user", "role", "username"]).required(),
        key("password", SECRET_KIND, "The password.").also(&["secret", "pass"]).required(),
        key(
            "owns",
            Kind::List(&Kind::Text(&INNER)),
            "Databases inside the instance that are made for it, and that it owns.",
        )
        .also(&["databases", "database", "dbname", "db"])
        .otherwise("none"),
    ],
};

pub(crate) static SECRET_FILE: Section = Section {
    what: "a secret",
    about: "A secret that stands in a file of its own on each host that needs it.",
    keys: &[key("file", Kind::Text(&SECRET_PATH), "The file; its first line is the secret.")
        .also(&["path"])
        .required()],
};

pub(crate) static COORDINATION: Section = Section {
    what: "the coordination",
    about: "Where the hosts of databases agree on who is the primary: etcd, on hosts of the system or elsewhere; or a \
            directory, where one machine is all there is. Needed as soon as there is a database.",
    keys: &[
        key(
            "etcd",
            Kind::List(&Kind::Text(&MEMBER)),
            "The members of an etcd cluster, version 3.4 or newer. Three of them in three zones go on when any one \
             fails. A name without a dot is a host of `[hosts]`.",
        )
        .also(&["endpoints", "members", "hosts", "etcd3"])
        .otherwise("no etcd"),
        key("tls", Kind::Table(&ETCD_TLS), "With `etcd`: how its members are spoken to.")
            .also(&["ssl"])
            .otherwise("in clear text"),
        key("user", Kind::Table(&ETCD_USER_TABLE), "With `etcd`: as whom.")
            .also(&["auth", "username", "authentication"])
            .otherwise("without a name"),
        key(
            "embedded",
            Kind::Either(&[Kind::Text(&STORE_DIRECTORY), Kind::Table(&EMBEDDED)]),
            "In place of `etcd`: a directory, where all databases are on one host. Not for production.",
        )
        .also(&["directory", "path"])
        .otherwise("no directory"),
        key("prefix", Kind::Text(&PREFIX), "What all names in the store begin with: one system, one prefix.")
            .also(&["namespace", "scope"])
            .otherwise("the system's name, in small letters"),
    ],
};

pub(crate) static ETCD_TLS: Section = Section {
    what: "the coordination's tls",
    about: "How the members of etcd are spoken to over TLS.",
    keys: &[
        key("ca", Kind::Text(&CA), "Who vouches for the members (PEM).")
            .also(&["cacert", "ca_file", "trusted_ca", "ca_certificate"])
            .required(),
        key("certificate", Kind::Text(&CERTIFICATE), "What members are shown (PEM), if they ask for it.")
            .also(&["cert", "cert_file", "crt"])
            .otherwise("nothing"),
        key("key", Kind::Text(&PRIVATE_KEY), "The private key of `certificate` (PEM).")
            .also(&["key_file", "private_key"])
            .otherwise("nothing"),
    ],
};

pub(crate) static ETCD_USER_TABLE: Section = Section {
    what: "the coordination's user",
    about: "A user of etcd, who may read and write what begins with the prefix.",
    keys: &[
        key("name", Kind::Text(&ETCD_USER), "The user's name.").also(&["user", "username"]).required(),
        key("password", SECRET_KIND, "The password.").also(&["secret", "pass"]).required(),
    ],
};

pub(crate) static EMBEDDED: Section = Section {
    what: "an embedded store",
    about: "A directory of one machine. The path alone is the short form.",
    keys: &[
        key("path", Kind::Text(&STORE_DIRECTORY), "The directory.")
            .also(&["directory", "data_dir"])
            .required(),
        key(
            "one_machine",
            Kind::Flag,
            "All hosts of databases are one machine and see the same directory, in namespaces or containers: what nines \
             can't know. Where that is not so, each host would be a primary of its own.",
        )
        .or("false"),
    ],
};
