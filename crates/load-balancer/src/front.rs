//! How one listener serves its connections under the plan in force: its settings, routes, pools and counters.

use std::rc::Rc;
use std::sync::Arc;

use nines_control::statistics::Refused;
use nines_system::{HttpListener, Listener, PoolId, Protocol, System, TcpListener};

use crate::access_log::AccessLog;
use crate::count::{ListenerCounts, class};
use crate::http1::Limits;
use crate::plan::Bound;
use crate::pool::Pool;
use crate::route::Router;
use crate::shared::Shared;

pub(crate) struct Front {
    system: Arc<System>,
    load_balancer: nines_system::LoadBalancerId,
    index: usize,
    pub(crate) name: String,
    pub(crate) counts: Arc<ListenerCounts>,
    pub(crate) access_log: Option<AccessLog>,
    router: Router,
    /// One for each route; the only one of a TCP listener.
    pools: Vec<Rc<Pool>>,
}

impl Front {
    pub(crate) fn new(
        system: &Arc<System>,
        bound: &Bound,
        pool_of: impl Fn(PoolId) -> Option<Rc<Pool>>,
        shared: &Shared,
        worker: usize,
    ) -> Self {
        let (router, ids) = match &bound.listener(system).protocol {
            Protocol::Http(http) => {
                (Router::new(&http.routes), http.routes.iter().map(|route| route.pool).collect())
            }
            Protocol::Tcp(tcp) => (Router::default(), vec![tcp.pool]),
        };
        Self {
            load_balancer: bound.load_balancer,
            index: bound.index,
            name: bound.name.clone(),
            counts: shared.counts.listener(&bound.name, worker),
            access_log: shared.access_logs.of(system, bound.load_balancer),
            router,
            pools: ids.into_iter().filter_map(pool_of).collect(),
            system: system.clone(),
        }
    }

    pub(crate) fn listener(&self) -> &Listener {
        &self.system[self.load_balancer].listeners[self.index]
    }

    pub(crate) fn http(&self) -> Option<&HttpListener> {
        match &self.listener().protocol {
            Protocol::Http(http) => Some(http),
            Protocol::Tcp(_) => None,
        }
    }

    pub(crate) fn tcp(&self) -> Option<(&TcpListener, &Rc<Pool>)> {
        match &self.listener().protocol {
            Protocol::Tcp(tcp) => self.pools.first().map(|pool| (tcp, pool)),
            Protocol::Http(_) => None,
        }
    }

    /// The pool for a request, and whether its route lets any method be repeated.
    pub(crate) fn route(&self, host: &[u8], path: &[u8]) -> Option<(&Rc<Pool>, bool)> {
        let position = self.router.route(host, path)?;
        let repeat = self.http().and_then(|http| http.routes.get(position))?.repeat_any_method;
        Some((self.pools.get(position)?, repeat))
    }

    pub(crate) fn count_reply(&self, status: u16) {
        self.counts.responses[class(status)].add(1);
    }

    /// How a request, or a connection of a TCP listener, went for its client.
    pub(crate) fn count_outcome(&self, pool: Option<&Pool>, good: bool) {
        let of_listener = if good { &self.counts.good } else { &self.counts.bad };
        of_listener.add(1);
        if let Some(pool) = pool {
            let of_pool = if good { &pool.counts.good } else { &pool.counts.bad };
            of_pool.add(1);
        }
    }

    pub(crate) fn count_refused(&self, cause: Refused) {
        if let Some(position) = Refused::ALL.iter().position(|&other| other == cause) {
            self.counts.refused[position].add(1);
        }
    }

    pub(crate) fn limits(http: &HttpListener) -> Limits {
        Limits { head_bytes: http.head_bytes as usize, headers: usize::from(http.headers) }
    }
}
