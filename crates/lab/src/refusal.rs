//! What a machine lacks when it refuses a lab, and what to do about it.

use std::fs;
use std::io;
use std::path::Path;

/// The kernel's settings as far as they bear on labs.
#[derive(Default)]
struct Facts {
    root: bool,
    max_user_namespaces: Option<u64>,
    /// Debian's and Arch's own switch; other kernels don't have it.
    unprivileged_userns_clone: Option<u64>,
    /// Ubuntu's, since 23.10.
    apparmor_restricts: Option<u64>,
    missing: Vec<&'static str>,
}

/// CAP_SYS_ADMIN, as a bit.
const SYS_ADMIN: u64 = 1 << 21;

/// Why this user can't have a lab on this machine, as far as the kernel's settings tell, and what to do about it.
pub fn obstacle() -> Option<String> {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let effective = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let effective = effective.and_then(|text| u64::from_str_radix(text.trim(), 16).ok()).unwrap_or(0);
    found(&Facts::look(), effective & SYS_ADMIN != 0)
}

impl Facts {
    fn look() -> Self {
        let setting = |name: &str| fs::read_to_string(format!("/proc/sys/{name}")).ok()?.trim().parse().ok();
        let kinds = ["user", "pid", "mnt", "net", "uts", "ipc"];
        let missing = |kind: &&str| !Path::new("/proc/self/ns").join(kind).exists();
        Self {
            root: rustix::process::geteuid().is_root(),
            max_user_namespaces: setting("user/max_user_namespaces"),
            unprivileged_userns_clone: setting("kernel/unprivileged_userns_clone"),
            apparmor_restricts: setting("kernel/apparmor_restrict_unprivileged_userns"),
            missing: kinds.into_iter().filter(missing).collect(),
        }
    }
}

/// `privileged`: no user namespace is needed.
fn found(facts: &Facts, privileged: bool) -> Option<String> {
    if !facts.missing.is_empty() {
        return Some(format!("This kernel was built without {} namespaces", facts.missing.join(", ")));
    }
    if privileged {
        return None;
    }
    if facts.max_user_namespaces == Some(0) {
        return Some(
            "User namespaces are switched off: run as root, or `sysctl user.max_user_namespaces=10000`"
                .to_owned(),
        );
    }
    if facts.unprivileged_userns_clone == Some(0) {
        return Some(
            "User namespaces are for root only: run as root, or `sysctl kernel.unprivileged_userns_clone=1`"
                .to_owned(),
        );
    }
    if facts.apparmor_restricts == Some(1) {
        return Some(
            "AppArmor keeps user namespaces from programs without a profile: run as root, or `sysctl \
             kernel.apparmor_restrict_unprivileged_userns=0`"
                .to_owned(),
        );
    }
    None
}

/// A sentence or two, beginning with a separator, or nothing when there is nothing useful to say.
pub(crate) fn advice(error: &io::Error) -> String {
    advise(&Facts::look(), error)
}

fn advise(facts: &Facts, error: &io::Error) -> String {
    if let Some(found) = found(facts, false) {
        return format!(". {found}");
    }
    match error.kind() {
        io::ErrorKind::PermissionDenied if facts.root => {
            ". In a container this needs CAP_SYS_ADMIN, a seccomp profile that allows it, and an unmasked /proc \
             (`docker run --privileged`)"
                .to_owned()
        }
        io::ErrorKind::PermissionDenied => ". Run as root".to_owned(),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn on(facts: &Facts) -> String {
        advise(facts, &io::ErrorKind::PermissionDenied.into())
    }

    #[test]
    fn each_refusal_names_its_own_remedy() {
        assert!(
            on(&Facts { max_user_namespaces: Some(0), ..Facts::default() })
                .contains("user.max_user_namespaces")
        );
        assert!(
            on(&Facts { unprivileged_userns_clone: Some(0), ..Facts::default() }).contains("userns_clone=1")
        );
        assert!(on(&Facts { apparmor_restricts: Some(1), ..Facts::default() }).contains("apparmor"));
        assert!(on(&Facts { missing: vec!["net"], ..Facts::default() }).contains("without net namespaces"));
        assert!(on(&Facts { root: true, ..Facts::default() }).contains("container"));
        assert_eq!(on(&Facts::default()), ". Run as root");
    }

    #[test]
    fn who_may_do_everything_needs_no_user_namespaces() {
        let off = Facts { max_user_namespaces: Some(0), ..Facts::default() };
        assert!(found(&off, false).unwrap().starts_with("User namespaces are switched off"));
        assert_eq!(found(&off, true), None);
        assert!(found(&Facts { missing: vec!["pid"], ..Facts::default() }, true).is_some());
        assert_eq!(found(&Facts::default(), false), None);
    }
}
