use super::*;
use hull_ports::ErrorClass;
use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;

/// A server on loopback that answers each path with a canned response, and ends when dropped.
struct Server {
    base: String,
    stop: std::sync::Arc<std::sync::atomic::AtomicBool>,
    address: std::net::SocketAddr,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Server {
    fn start(answers: &[(&str, &str, &[u8])]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let answers: BTreeMap<String, Vec<u8>> = answers
            .iter()
            .map(|(path, status, body)| {
                let head = format!(
                    "HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
                    body.len()
                );
                ((*path).to_owned(), [head.as_bytes(), body].concat())
            })
            .collect();
        let stop = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
        let stopping = stop.clone();
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming() {
                if stopping.load(std::sync::atomic::Ordering::SeqCst) {
                    return;
                }
                let mut stream = stream.unwrap();
                let mut head = Vec::new();
                let mut byte = [0];
                while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).unwrap_or(0) == 1 {
                    head.push(byte[0]);
                }
                let head = String::from_utf8_lossy(&head).into_owned();
                let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
                let missing =
                    b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nconnection: close\r\n\r\n".to_vec();
                // A client that went away is its own business.
                _ = stream.write_all(answers.get(&path).unwrap_or(&missing));
            }
        });
        Self { base: format!("http://{address}/"), stop, address, thread: Some(thread) }
    }

    fn found(&self) -> Found {
        Found { place: Place::Http { base: self.base.clone() }, instance_id: None, hostname: None }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.store(true, std::sync::atomic::Ordering::SeqCst);
        _ = std::net::TcpStream::connect(self.address);
        if let Some(thread) = self.thread.take() {
            _ = thread.join();
        }
    }
}

#[tokio::test]
async fn http_seeds_are_fetched() {
    let server = Server::start(&[
        ("/meta-data", "200 OK", b"instance-id: i\nlocal-hostname: web9\npublic-keys: [ssh-rsa AAAA1 p]\n"),
        ("/user-data", "200 OK", b"#cloud-config\nssh_authorized_keys: [ssh-rsa AAAA2 u]\nservices: {a: {image: x, environment: {H: $HULL_HOSTNAME}}}\n"),
        ("/network-config", "200 OK", b"version: 2\nethernets: {eth0: {dhcp4: true}}\n"),
    ]);
    let seed = fetch(&server.found()).await.unwrap();
    assert_eq!(seed.vendor_data, None);
    let layers = layers(&seed, &HostFacts::default());
    assert_eq!(layers.len(), 2);
    assert!(layers.iter().all(|layer| layer.problems.is_empty()), "{layers:#?}");
    assert_eq!(layers[0].host.hostname.as_deref(), Some("web9"));
    assert!(layers[0].host.network.is_some());
    assert_eq!(layers[1].host.users[0].ssh_authorized_keys, ["ssh-rsa AAAA2 u", "ssh-rsa AAAA1 p"]);
    let workloads = layers[1].workloads.as_ref().unwrap();
    assert_eq!(workloads.containers.values().next().unwrap().env["H"], "web9");
}

#[tokio::test]
async fn errors_say_whether_trying_again_helps() {
    let huge = vec![b' '; MAX_BYTES + 1];
    let rows: &[(&str, &[u8], ErrorClass)] = &[
        ("500 Oops", b"", ErrorClass::Retryable),
        ("503 Later", b"", ErrorClass::Retryable),
        ("429 Slow", b"", ErrorClass::Retryable),
        ("403 No", b"", ErrorClass::Permanent),
        ("200 OK", &huge, ErrorClass::Permanent),
    ];
    for (status, body, class) in rows {
        let server = Server::start(&[("/meta-data", status, body)]);
        let error = fetch(&server.found()).await.unwrap_err();
        assert_eq!(error.class, *class, "{status}");
        assert!(error.message.contains("/meta-data") && !error.remedy.is_empty(), "{status}: {error}");
    }
    let down = Server::start(&[]).found();
    let error = fetch(&down).await.unwrap_err();
    assert_eq!(error.class, ErrorClass::Retryable, "a server that is down may come up");
    let place = Place::Http { base: "http://[x/".to_owned() };
    let error = fetch(&Found { place, instance_id: None, hostname: None }).await.unwrap_err();
    assert_eq!(error.class, ErrorClass::Permanent, "an address that is none stays none");
}

#[tokio::test]
async fn directories_and_disks_are_read() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("user-data"), "#cloud-config\n").unwrap();
    let at = |path: &Path| Found {
        place: Place::Directory { path: path.into() },
        instance_id: None,
        hostname: None,
    };
    let seed = fetch(&at(dir.path())).await.unwrap();
    assert_eq!(seed.user_data.as_deref(), Some(&b"#cloud-config\n"[..]));
    assert_eq!(fetch(&at(&dir.path().join("nowhere"))).await.unwrap_err().class, ErrorClass::Retryable);

    let image = dir.path().join("disk");
    let gz = include_bytes!("../../../testdata/fat16.img.gz");
    std::fs::write(&image, crate::document::gunzip(gz, 64 << 20).unwrap()).unwrap();
    let device = Found { place: Place::Device { path: image.clone() }, instance_id: None, hostname: None };
    let seed = fetch(&device).await.unwrap();
    assert_eq!(layers(&seed, &HostFacts::default())[0].host.hostname.as_deref(), Some("fixture"));
    std::fs::write(&image, vec![0; 65536]).unwrap();
    assert_eq!(fetch(&device).await.unwrap_err().class, ErrorClass::Permanent);
}

#[test]
fn a_seed_with_nothing_in_it_is_a_problem_and_no_more() {
    for empty in [
        Seed::default(),
        Seed { user_data: Some(b"\n".to_vec()), meta_data: Some(vec![]), ..Seed::default() },
    ] {
        let layers = layers(&empty, &HostFacts::default());
        let problems: Vec<&Problem> = layers.iter().flat_map(|layer| &layer.problems).collect();
        assert_eq!(problems.len(), 1, "{problems:?}");
        assert!(problems[0].reason.contains("nothing"));
        assert!(layers.iter().all(|layer| layer.workloads.is_none()));
    }
    let no_meta = Seed { user_data: Some(b"#cloud-config\nhostname: a\n".to_vec()), ..Seed::default() };
    let layers = layers(&no_meta, &HostFacts::default());
    assert!(layers[0].problems[0].reason.contains("no meta-data"));
    assert_eq!(layers[1].host.hostname.as_deref(), Some("a"));
}
