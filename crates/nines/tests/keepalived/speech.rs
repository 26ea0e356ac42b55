//! How the two speak with each other, written for each of them.

use std::time::Duration;

/// Everything that both must agree on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Speech {
    pub(crate) version: u8,
    pub(crate) v6: bool,
    pub(crate) unicast: bool,
    pub(crate) password: Option<&'static str>,
}

pub(crate) const V3: Speech = Speech { version: 3, v6: false, unicast: false, password: None };
pub(crate) const V3_UNICAST: Speech = Speech { unicast: true, ..V3 };
pub(crate) const V3_IPV6: Speech = Speech { v6: true, ..V3 };
pub(crate) const V3_IPV6_UNICAST: Speech = Speech { unicast: true, ..V3_IPV6 };
pub(crate) const V2: Speech = Speech { version: 2, ..V3 };
pub(crate) const V2_PASSWORD: Speech = Speech { password: Some("secret"), ..V2 };

/// One half of the pair, and what it has of its own.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Half {
    /// The last number of its address.
    pub(crate) number: u8,
    pub(crate) priority: u8,
    /// Further settings, in its own language.
    pub(crate) more: &'static str,
}

/// What a pair is started with.
pub(crate) struct Written {
    /// The system file.
    pub(crate) system: String,
    /// `keepalived.conf`
    pub(crate) keepalived: String,
    pub(crate) virtual_ip: String,
}

impl Written {
    /// The example that people are given.
    pub(crate) fn documented() -> Self {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/virtual-ips.md");
        let text = std::fs::read_to_string(path).unwrap();
        let (_, chapter) = text.split_once("\n## Half of the pair is keepalived\n").unwrap();
        let block = |language: &str| {
            let (_, rest) = chapter.split_once(&format!("\n```{language}\n")).unwrap();
            rest.split_once("\n```\n").unwrap().0.to_owned()
        };
        let (system, keepalived) = (block("toml"), block("keepalived"));
        Self { system, keepalived, virtual_ip: "10.0.1.100".to_owned() }
    }
}

/// A pair of hosts: `lb1` with nines, `lb2` with keepalived.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Setting {
    pub(crate) speech: Speech,
    pub(crate) nines: Half,
    pub(crate) keepalived: Half,
}

impl Setting {
    pub(crate) fn new(speech: Speech, nines: u8, keepalived: u8) -> Self {
        let half = |number, priority| Half { number, priority, more: "" };
        Self { speech, nines: half(10, nines), keepalived: half(11, keepalived) }
    }

    /// From advertisement to advertisement. In version 3 short, but longer than a machine with much to do holds a
    /// process up.
    pub(crate) fn interval(&self) -> Duration {
        Duration::from_millis(if self.speech.version == 2 { 1000 } else { 250 })
    }

    fn address(&self, number: u8) -> String {
        if self.speech.v6 { format!("fd00::{number}") } else { format!("10.0.1.{number}") }
    }

    fn virtual_ip(&self) -> String {
        self.address(100)
    }

    pub(crate) fn written(&self) -> Written {
        Written { system: self.system(), keepalived: self.keepalived_conf(), virtual_ip: self.virtual_ip() }
    }

    /// The system file, as nines reads it.
    fn system(&self) -> String {
        let Self { speech, nines, keepalived, .. } = self;
        let password = speech.password.map(|word| format!(", password = \"{word}\"")).unwrap_or_default();
        let interval = if nines.more.contains("interval") {
            String::new()
        } else {
            format!(", interval = \"{}ms\"", self.interval().as_millis())
        };
        format!(
            r#"
name = "half-migrated"
[hosts]
lb1 = "{}"
lb2 = "{}"
app1 = "{}"
[load_balancers.front]
hosts = ["lb1", "lb2"]
workers = 1
drain = "3s"
listeners = [{{ bind = ":80", pool = "web" }}]
virtual_ips = [{{ address = "{}", priorities = {{ lb1 = {}, lb2 = {} }}, router_id = 51, version = {}, unicast = {}{password}{interval}{} }}]
[pools.web]
members = ["app1:8080"]
"#,
            self.address(nines.number),
            self.address(keepalived.number),
            self.address(21),
            self.virtual_ip(),
            nines.priority,
            keepalived.priority,
            speech.version,
            speech.unicast,
            nines.more,
        )
    }

    /// The same for keepalived.
    fn keepalived_conf(&self) -> String {
        let Self { speech, nines, keepalived, .. } = self;
        let mut settings = format!("advert_int {}\n", self.interval().as_secs_f64());
        if keepalived.more.contains("advert_int") {
            settings.clear();
        }
        if speech.unicast {
            let (own, peer) = (self.address(keepalived.number), self.address(nines.number));
            settings += &format!("    unicast_src_ip {own}\n    unicast_peer {{\n        {peer}\n    }}\n");
        }
        if let Some(word) = speech.password {
            settings +=
                &format!("    authentication {{\n        auth_type PASS\n        auth_pass {word}\n    }}\n");
        }
        format!(
            r#"
global_defs {{
    vrrp_version {}
}}
vrrp_instance half {{
    state BACKUP
    interface eth0
    virtual_router_id 51
    priority {}
    {settings}
    {}
    virtual_ipaddress {{
        {}/{}
    }}
}}
"#,
            speech.version,
            keepalived.priority,
            keepalived.more,
            self.virtual_ip(),
            if speech.v6 { 128 } else { 32 },
        )
    }
}
