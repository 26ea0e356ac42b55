//! What the client says when nobody answers, or more is answered than it takes.

use nines_admin::{Client, ClientError};

#[tokio::test]
async fn more_than_the_client_takes_is_refused_with_what_to_do() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("socket");
    let listener = tokio::net::UnixListener::bind(&path).unwrap();
    let daemon = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut question = [0; 1024];
        let read = stream.read(&mut question).await.unwrap();
        assert!(question[..read].starts_with(b"GET /measured"));
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", 65 << 20);
        stream.write_all(head.as_bytes()).await.unwrap();
        let some = vec![b' '; 1 << 20];
        // The client goes when it has had enough.
        for _ in 0..65 {
            if stream.write_all(&some).await.is_err() {
                break;
            }
        }
    });
    let error = Client::new(&path).measured::<serde_json::Value>(400 * 86_400).await.unwrap_err();
    assert!(error.to_string().contains("--window 30d"), "{error}");
    daemon.await.unwrap();
}

#[tokio::test]
async fn without_a_daemon_the_client_says_where_it_asked() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("lb1.sock");
    let error = Client::new(&path).status().await.unwrap_err();
    assert!(matches!(error, ClientError::Connect(..)));
    assert!(error.to_string().contains(path.to_str().unwrap()), "{error}");

    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    let error = Client::new(&path).status().await.unwrap_err();
    assert!(
        error.to_string().ends_with("(it has died and left its socket behind: start it again)"),
        "{error}"
    );
}
