//! The replies that come from nines itself, not from a member.

use std::io::Write as _;

/// A short reply that says what happened.
#[derive(Debug, Clone, Copy)]
pub struct Refusal<'a> {
    pub status: u16,
    /// One word for the cause, in the `nines-cause` header: what the access log says too.
    pub cause: &'static str,
    /// For people, in the body: one sentence.
    pub what: &'a str,
    /// Seconds.
    pub retry_after: Option<u32>,
    /// Whether the connection is closed after it. Always for an HTTP/1.0 client.
    pub close: bool,
    /// The answer to HEAD: the body is announced but left out.
    pub head_only: bool,
}

impl Refusal<'_> {
    /// Appends the whole reply.
    pub fn render(&self, out: &mut Vec<u8>) {
        let phrase = phrase(self.status);
        let body_len = 3 + 1 + phrase.len() + 2 + self.what.len() + 1;
        let retry_after =
            self.retry_after.map(|seconds| format!("Retry-After: {seconds}\r\n")).unwrap_or_default();
        let close = if self.close { "Connection: close\r\n" } else { "" };
        let (status, cause) = (self.status.clamp(100, 599), self.cause);
        // Writing to a Vec cannot fail.
        let _ = write!(
            out,
            "HTTP/1.1 {status} {phrase}\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: {body_len}\r\n\
             Cache-Control: no-store\r\nnines-cause: {cause}\r\n{retry_after}{close}\r\n"
        );
        if !self.head_only {
            let _ = writeln!(out, "{status} {phrase}: {}", self.what);
        }
    }
}

/// The reason phrase of a status that nines itself answers with.
fn phrase(status: u16) -> &'static str {
    match status {
        400 => "Bad Request",
        404 => "Not Found",
        408 => "Request Timeout",
        413 => "Content Too Large",
        414 => "URI Too Long",
        417 => "Expectation Failed",
        421 => "Misdirected Request",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        505 => "HTTP Version Not Supported",
        _ => "Refused",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_says_what_happened_and_how_long_it_is() {
        let mut refusal = Refusal {
            status: 503,
            cause: "queue-full",
            what: "all members of pool web are busy",
            retry_after: Some(1),
            close: true,
            head_only: false,
        };
        let mut out = Vec::new();
        refusal.render(&mut out);
        let text = String::from_utf8(out).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert_eq!(body, "503 Service Unavailable: all members of pool web are busy\n");
        assert_eq!(
            head,
            format!(
                "HTTP/1.1 503 Service Unavailable\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: {}\r\n\
                 Cache-Control: no-store\r\nnines-cause: queue-full\r\nRetry-After: 1\r\nConnection: close",
                body.len()
            )
        );

        refusal.head_only = true;
        let mut out = Vec::new();
        refusal.render(&mut out);
        assert_eq!(out, format!("{head}\r\n\r\n").as_bytes());
    }
}
