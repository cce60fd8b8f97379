//! Token services, and who gets to see what.

mod support;

use hull_model::Reference;
use hull_ports::{Credentials, Images as _, Login, PullOptions, Silent};
use std::sync::{Arc, Mutex};
use support::fake::{Fake, Reply, Request};
use support::image::small;
use support::{insecure, open};

/// A registry that wants tokens for what it has, from a service of its own that knows `user` with `pass`.
async fn with_service() -> (Fake, Arc<Mutex<Vec<Request>>>) {
    let fake = Fake::with("1", &small("x")).await;
    let host = fake.host.clone();
    let seen: Arc<Mutex<Vec<Request>>> = Arc::default();
    let noted = Arc::clone(&seen);
    fake.script(move |request, _| {
        if request.path.starts_with("/token") {
            noted.lock().unwrap().push(request.clone());
            return Some(token(request));
        }
        let good = matches!(
            request.header("authorization"),
            Some("Bearer t1" | "Bearer from-refresh" | "Bearer given")
        );
        let challenge = format!("Bearer realm=\"http://{host}/token\",service=\"s\"");
        (!good).then(|| Reply::new(401, "").header("www-authenticate", challenge))
    });
    (fake, seen)
}

/// `user:pass` in base 64.
const BASIC: &str = "Basic dXNlcjpwYXNz";

fn token(request: &Request) -> Reply {
    let refresh =
        request.body.contains("grant_type=refresh_token") && request.body.contains("refresh_token=r%2F1");
    match request.header("authorization") {
        Some(BASIC) if request.path.contains("offline_token=true") => {
            Reply::new(200, r#"{"token":"t1","refresh_token":"r/1"}"#)
        }
        Some(BASIC) => Reply::new(200, r#"{"access_token":"t1","expires_in":300}"#),
        None if refresh => Reply::new(200, r#"{"access_token":"from-refresh"}"#),
        _ => Reply::new(401, r#"{"details":"incorrect username or password"}"#),
    }
}

fn options(host: &str, credentials: Credentials) -> PullOptions {
    PullOptions { registries: insecure(host), credentials: Some(credentials), platform: None }
}

fn somebody(password: &str) -> Credentials {
    Credentials { username: "user".into(), password: password.into(), ..Credentials::default() }
}

#[tokio::test]
async fn a_login_gives_what_stands_for_the_password_later() {
    let (fake, seen) = with_service().await;
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let at = |credentials| Credentials { serveraddress: fake.host.clone(), ..credentials };
    let anonymous = PullOptions { registries: insecure(&fake.host), ..PullOptions::default() };
    let login = store.login(&at(somebody("pass")), &anonymous).await.unwrap();
    assert_eq!(login, Login { identity_token: "r/1".into() });
    let error = store.login(&at(somebody("wrong")), &anonymous).await.unwrap_err();
    let words = format!("Get \"http://{}/v2/\": unauthorized: incorrect username or password", fake.host);
    assert_eq!(error.to_string(), words);
    assert!(!error.chain().contains("wrong"));

    seen.lock().unwrap().clear();
    let reference = Reference::parse(&format!("{}/team/a:1", fake.host)).unwrap();
    let identity = Credentials { identitytoken: "r/1".into(), ..Credentials::default() };
    store.pull_as(&reference, &options(&fake.host, identity), &Silent).await.unwrap();
    let seen = seen.lock().unwrap();
    assert_eq!(seen.len(), 1, "one token for the whole pull");
    assert_eq!(seen[0].method, "POST");
    for part in ["grant_type=refresh_token", "service=s", "scope=repository%3Ateam%2Fa%3Apull"] {
        assert!(seen[0].body.contains(part), "{part} is not in {}", seen[0].body);
    }
    assert!(!seen[0].path.contains("r%2F1"), "secrets are not in addresses, which are logged");
}

#[tokio::test]
async fn a_registry_token_is_handed_over_as_it_is() {
    let (fake, seen) = with_service().await;
    let dir = tempfile::tempdir().unwrap();
    let reference = Reference::parse(&format!("{}/a:1", fake.host)).unwrap();
    let given = Credentials { registrytoken: "given".into(), ..Credentials::default() };
    assert!(!format!("{:?}", options(&fake.host, given.clone())).contains("given"));
    open(dir.path()).pull_as(&reference, &options(&fake.host, given), &Silent).await.unwrap();
    assert!(seen.lock().unwrap().is_empty());
}

#[tokio::test]
async fn the_wrong_password_is_told_as_docker_tells_it() {
    let (fake, _) = with_service().await;
    let dir = tempfile::tempdir().unwrap();
    let reference = Reference::parse(&format!("{}/a:1", fake.host)).unwrap();
    let error = open(dir.path()).pull_as(&reference, &options(&fake.host, somebody("no")), &Silent).await;
    assert_eq!(
        error.unwrap_err().to_string(),
        format!(
            "pull access denied for {}/a, repository does not exist or may require 'docker login': unauthorized: \
             incorrect username or password",
            fake.host
        )
    );
}

#[tokio::test]
async fn tags_come_in_pages() {
    let fake = Fake::start().await;
    fake.script(|request, _| {
        let page = |tags: &str| Reply::new(200, format!("{{\"name\":\"a\",\"tags\":{tags}}}"));
        match request.path.as_str() {
            "/v2/a/tags/list?n=1000" => {
                Some(page(r#"["b","c"]"#).header("link", "</v2/a/tags/list?last=c&n=2>; rel=\"next\""))
            }
            "/v2/a/tags/list?last=c&n=2" => {
                Some(page(r#"["a"]"#).header("link", "</v2/a/tags/list?last=x>; rel=\"next\""))
            }
            "/v2/a/tags/list?last=x" => {
                Some(page("null").header("link", "</v2/a/tags/list?last=x>; rel=\"next\""))
            }
            _ => None,
        }
    });
    let dir = tempfile::tempdir().unwrap();
    let reference = Reference::parse(&format!("{}/a", fake.host)).unwrap();
    let options = PullOptions { registries: insecure(&fake.host), ..PullOptions::default() };
    assert_eq!(open(dir.path()).tags(&reference, &options).await.unwrap(), ["a", "b", "c"]);
}

#[tokio::test]
async fn a_search_asks_the_registry_that_the_term_begins_with() {
    let fake = Fake::start().await;
    fake.script(|request, _| {
        let hits = r#"{"num_results":1,"results":[{"name":"team/app","description":"d","star_count":3,"is_official":false}]}"#;
        (request.path == "/v1/search?q=app&n=7").then(|| Reply::new(200, hits))
    });
    let dir = tempfile::tempdir().unwrap();
    let options = PullOptions { registries: insecure(&fake.host), ..PullOptions::default() };
    let hits = open(dir.path()).search(&format!("{}/app", fake.host), 7, &options).await.unwrap();
    assert_eq!((hits.len(), hits[0].name.as_str(), hits[0].star_count), (1, "team/app", 3));
}
