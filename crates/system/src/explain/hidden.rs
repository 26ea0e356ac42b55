//! A system without what must not be printed.

use crate::model::{Engine, Secret, Store, System, VrrpAuthentication};
use crate::read::secrets::HIDDEN;

pub(super) fn hidden(system: &System) -> System {
    let mut system = system.clone();
    for virtual_ip in system.load_balancers.iter_mut().flat_map(|balancer| &mut balancer.virtual_ips) {
        match &mut virtual_ip.authentication {
            VrrpAuthentication::None => {}
            VrrpAuthentication::Password(password) => HIDDEN.clone_into(password),
            VrrpAuthentication::Keys(keys) => keys.iter_mut().for_each(|key| HIDDEN.clone_into(&mut key.key)),
        }
    }
    for database in &mut system.databases {
        let Engine::PostgreSql(engine) = &mut database.engine;
        engine.users.iter_mut().for_each(|user| hide(&mut user.password));
        engine.replication_password.iter_mut().for_each(hide);
    }
    if let Some(Store::Etcd(etcd)) = system.coordination.as_mut().map(|coordination| &mut coordination.store)
    {
        etcd.user.iter_mut().for_each(|(_, password)| hide(password));
    }
    system
}

/// Where a secret's file is, is no secret.
fn hide(secret: &mut Secret) {
    if let Secret::Text(text) = secret {
        HIDDEN.clone_into(text);
    }
}
