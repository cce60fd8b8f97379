//! Images over a real socket: statuses, shapes and streams as Docker's clients expect them.

#[allow(dead_code, reason = "other programs that share it use more of it")]
mod fake;

use fake::Host;
use fake::client::{ask, escape, json, send, text};
use hyper::Method;
use serde_json::{Value, json};

const BASE: &str = "/v1.51/images";

async fn host() -> (Host, tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    (Host::start(dir.path()).await, dir)
}

async fn get(host: &Host, path: &str) -> Value {
    let (status, value) = json(host, Method::GET, path).await;
    assert_eq!(status, 200, "{path}: {value}");
    value
}

/// The status and the message of a refusal.
async fn refused(host: &Host, method: Method, path: &str) -> (u16, String) {
    let (status, value) = json(host, method, path).await;
    (status, value["message"].as_str().unwrap_or_default().to_owned())
}

fn keys(value: &Value) -> Vec<&str> {
    value.as_object().unwrap().keys().map(String::as_str).collect()
}

/// Names of the images in a list.
fn tags(list: &Value) -> Vec<String> {
    let mut all: Vec<String> = list.as_array().unwrap().iter().map(|i| i["RepoTags"].to_string()).collect();
    all.sort();
    all
}

#[tokio::test]
async fn a_pull_is_told_in_dockers_lines() {
    let (host, _dir) = host().await;
    host.world.publish("team/app:1");
    let path = format!("{BASE}/create?fromImage=team/app&tag=1");
    let (status, body) = ask(&host, Method::POST, &path, "").await;
    let id = get(&host, "/images/team/app:1/json").await["Id"].as_str().unwrap().to_owned();
    let short = &id[7..19];
    let expected = [
        r#"{"status":"Pulling from team/app","id":"1"}"#.to_owned(),
        format!(r#"{{"status":"Pulling fs layer","progressDetail":{{}},"id":"{short}"}}"#),
        format!(
            r#"{{"status":"Downloading","progressDetail":{{"current":1,"total":1}},"progress":"[==================================================>]       1B/1B","id":"{short}"}}"#
        ),
        format!(r#"{{"status":"Verifying Checksum","progressDetail":{{}},"id":"{short}"}}"#),
        format!(r#"{{"status":"Download complete","progressDetail":{{}},"id":"{short}"}}"#),
        format!(
            r#"{{"status":"Extracting","progressDetail":{{"current":1,"total":1}},"progress":"[==================================================>]       1B/1B","id":"{short}"}}"#
        ),
        format!(r#"{{"status":"Pull complete","progressDetail":{{}},"id":"{short}"}}"#),
        format!(r#"{{"status":"Digest: {id}"}}"#),
        r#"{"status":"Status: Downloaded newer image for team/app:1"}"#.to_owned(),
    ];
    assert_eq!(
        (status, body.trim_end().split("\r\n").collect::<Vec<_>>()),
        (200, expected.iter().map(String::as_str).collect())
    );
    let (_, again) = ask(&host, Method::POST, &path, "").await;
    let expected = format!(
        "{{\"status\":\"Pulling from team/app\",\"id\":\"1\"}}\r\n{{\"status\":\"Digest: {id}\"}}\r\n{{\"status\":\"Status: Image is up to date for team/app:1\"}}\r\n"
    );
    assert_eq!(again, expected, "layers that are here are not worth a line");
    let missing = refused(&host, Method::POST, &format!("{BASE}/create?fromImage=nope&tag=1")).await;
    assert_eq!(missing, (404, "manifest for nope:1 not found: manifest unknown: manifest unknown".into()));
    let upper = refused(&host, Method::POST, &format!("{BASE}/create?fromImage=UP&tag=1")).await;
    assert_eq!(
        upper,
        (400, "invalid reference format: repository name (library/UP) must be lowercase".into())
    );
    let odd = refused(&host, Method::POST, &format!("{path}&platform=a/b/c/d")).await;
    assert_eq!(odd, (400, "\"a/b/c/d\": cannot parse platform specifier: invalid argument".into()));
}

#[tokio::test]
async fn all_tags_are_pulled_if_none_is_named() {
    let (host, _dir) = host().await;
    host.world.publish("team/app:1");
    host.world.publish("team/app:2");
    let (_, body) = ask(&host, Method::POST, &format!("{BASE}/create?fromImage=team/app"), "").await;
    assert_eq!(body.matches("Pulling from team/app").count(), 2);
    assert!(body.ends_with("{\"status\":\"Status: Downloaded newer image for team/app\"}\r\n"), "{body}");
    let listed = get(&host, &format!("{BASE}/json?filters={}", escape(r#"{"reference":["team/*"]}"#))).await;
    assert_eq!(tags(&listed), [r#"["team/app:1"]"#, r#"["team/app:2"]"#]);
}

#[tokio::test]
async fn a_push_is_told_in_dockers_lines() {
    let (host, _dir) = host().await;
    let path = format!("{BASE}/r:5000/a/push?tag=1");
    let (status, _) = ask(&host, Method::POST, "/images/web:1/tag?repo=r:5000/a&tag=1", "").await;
    assert_eq!(status, 201);
    let id = get(&host, "/images/web:1/json").await["Id"].as_str().unwrap().to_owned();
    let (status, body) = ask(&host, Method::POST, &path, "").await;
    let expected = format!(
        "{{\"status\":\"The push refers to repository [r:5000/a]\"}}\r\n\
         {{\"status\":\"Preparing\",\"progressDetail\":{{}},\"id\":\"{short}\"}}\r\n\
         {{\"status\":\"Pushed\",\"progressDetail\":{{}},\"id\":\"{short}\"}}\r\n\
         {{\"status\":\"1: digest: {id} size: 528\"}}\r\n\
         {{\"progressDetail\":{{}},\"aux\":{{\"Digest\":\"{id}\",\"Size\":528,\"Tag\":\"1\"}}}}\r\n",
        short = &id[7..19]
    );
    assert_eq!((status, body), (200, expected));
    let (_, again) = ask(&host, Method::POST, &path, "").await;
    assert!(again.contains("Layer already exists"), "{again}");
    let stranger = "eyJ1c2VybmFtZSI6ImpvZSIsInBhc3N3b3JkIjoibm8ifQ==";
    let wrong = text(send(&host, Method::POST, &path, &[("x-registry-auth", stranger)], "").await).await;
    let refusal = "{\"errorDetail\":{\"message\":\"unauthorized: authentication required\"},\"error\":\"unauthorized: authentication required\"}\r\n";
    assert!(wrong.ends_with(refusal), "{wrong}");
    let (status, missing) = ask(&host, Method::POST, &format!("{BASE}/nope/push?tag=1"), "").await;
    assert_eq!(status, 200, "it has begun by then");
    assert!(missing.contains("An image does not exist locally with the tag: nope"), "{missing}");
}

#[tokio::test]
async fn lists_have_dockers_fields_for_every_version() {
    let (host, _dir) = host().await;
    let listed = get(&host, &format!("{BASE}/json")).await;
    assert_eq!(
        keys(&listed[0]),
        [
            "Containers",
            "Created",
            "Id",
            "Labels",
            "ParentId",
            "RepoDigests",
            "RepoTags",
            "SharedSize",
            "Size"
        ]
    );
    let web =
        get(&host, &format!("{BASE}/json?shared-size=1&filters={}", escape(r#"{"reference":["web"]}"#)))
            .await;
    assert_eq!(
        (&web[0]["Containers"], &web[0]["SharedSize"], &web[0]["Labels"]),
        (&json!(1), &json!(0), &Value::Null)
    );
    let old = get(&host, "/v1.42/images/json").await;
    assert_eq!((&old[0]["VirtualSize"], &old[0]["Containers"]), (&json!(1), &json!(-1)));
    for (filters, status, message) in [
        (r#"{"nope":["a"]}"#, 400, "invalid filter 'nope'"),
        (r#"{"dangling":["x"]}"#, 400, "invalid filter 'dangling=[x]'"),
        ("x", 400, "invalid filter"),
        (r#"{"reference":["["]}"#, 500, "syntax error in pattern"),
        (r#"{"before":["nope"]}"#, 404, "No such image: nope:latest"),
        (r#"{"until":["x"]}"#, 500, "failed to parse value as time or duration: \"x\""),
    ] {
        let path = format!("{BASE}/json?filters={}", escape(filters));
        assert_eq!(refused(&host, Method::GET, &path).await, (status, message.into()), "{filters}");
    }
    for (filters, expected) in [
        (r#"{"reference":["we*"]}"#, vec![r#"["web:1"]"#]),
        (r#"{"reference":["*:latest"]}"#, vec![r#"["job:latest"]"#]),
        (r#"{"label":["a"]}"#, vec![]),
        (r#"{"dangling":["true"]}"#, vec![]),
        (r#"{"dangling":["0"]}"#, vec![r#"["job:latest"]"#, r#"["web:1"]"#]),
    ] {
        let listed = get(&host, &format!("{BASE}/json?filters={}", escape(filters))).await;
        assert_eq!(tags(&listed), expected, "{filters}");
    }
}

#[tokio::test]
async fn inspection_and_history_have_dockers_fields() {
    let (host, _dir) = host().await;
    let web = get(&host, &format!("{BASE}/web:1/json")).await;
    assert_eq!(
        keys(&web),
        [
            "Architecture",
            "Author",
            "Comment",
            "Config",
            "DockerVersion",
            "GraphDriver",
            "Id",
            "Metadata",
            "Os",
            "Parent",
            "RepoDigests",
            "RepoTags",
            "RootFS",
            "Size"
        ]
    );
    assert_eq!(
        keys(&web["Config"]),
        ["Cmd", "Entrypoint", "Env", "Labels", "OnBuild", "User", "Volumes", "WorkingDir"]
    );
    let old = get(&host, "/v1.41/images/web:1/json").await;
    assert!(
        old["ContainerConfig"].is_object() && old["VirtualSize"] == 1 && old["Config"]["Tty"] == false,
        "{old}"
    );
    let id = web["Id"].as_str().unwrap();
    for name in [id, &id[7..], &id[7..19], "web:1", "docker.io/library/web:1"] {
        assert_eq!(get(&host, &format!("/images/{name}/json")).await["Id"], id, "{name}");
    }
    let history = get(&host, &format!("{BASE}/web:1/history")).await;
    assert_eq!(keys(&history[0]), ["Comment", "Created", "CreatedBy", "Id", "Size", "Tags"]);
    assert_eq!((&history[0]["Id"], &history[0]["Tags"]), (&json!(id), &json!(["web:1"])));
    let arm = escape(r#"{"os":"linux","architecture":"arm64"}"#);
    for what in ["json", "history"] {
        let other = "image with reference web:1 was found but its platform (linux/amd64) does not match the specified platform (linux/arm64)";
        let path = format!("{BASE}/web:1/{what}?platform={arm}");
        assert_eq!(refused(&host, Method::GET, &path).await, (404, other.into()));
        let missing = refused(&host, Method::GET, &format!("{BASE}/a/b/{what}")).await;
        assert_eq!(missing, (404, "No such image: a/b:latest".into()));
    }
    assert_eq!(refused(&host, Method::GET, &format!("{BASE}/web:1/nope")).await.0, 404);
}

#[tokio::test]
async fn names_go_one_by_one_and_users_keep_an_image() {
    let (host, _dir) = host().await;
    let web = get(&host, "/images/web:1/json").await["Id"].as_str().unwrap().to_owned();
    let container = host.engine.find("web").await.unwrap().id;
    let delete = |name: &str| format!("{BASE}/{name}");
    let (status, message) = refused(&host, Method::DELETE, &delete("web:1")).await;
    let (image, user) = (&web[7..19], container.short());
    assert_eq!(
        (status, message),
        (
            409,
            format!(
                "conflict: unable to remove repository reference \"web:1\" (must force) - container {user} is using its referenced image {image}"
            )
        )
    );
    let running = format!(
        "conflict: unable to delete {image} (cannot be forced) - image is being used by running container {user}"
    );
    assert_eq!(refused(&host, Method::DELETE, &delete(&format!("{web}?force=1"))).await, (409, running));
    ask(&host, Method::POST, "/images/web:1/tag?repo=web&tag=2", "").await;
    let (status, removed) = json(&host, Method::DELETE, &delete("web:2")).await;
    assert_eq!((status, removed), (200, json!([{ "Untagged": "web:2" }])));
    host.world.publish("free:1");
    ask(&host, Method::POST, &format!("{BASE}/create?fromImage=free&tag=1"), "").await;
    let free = get(&host, "/images/free:1/json").await["Id"].as_str().unwrap().to_owned();
    let (status, removed) = json(&host, Method::DELETE, &delete("free:1")).await;
    let expected =
        json!([{ "Untagged": "free:1" }, { "Untagged": format!("free@{free}") }, { "Deleted": free }]);
    assert_eq!((status, removed), (200, expected));
    assert_eq!(
        refused(&host, Method::DELETE, &delete("free:1")).await,
        (404, "No such image: free:1".into())
    );
    let (status, pruned) = json(&host, Method::POST, &format!("{BASE}/prune")).await;
    assert_eq!((status, pruned), (200, json!({ "ImagesDeleted": null, "SpaceReclaimed": 0 })));
    let all = escape(r#"{"dangling":["false"]}"#);
    ask(&host, Method::POST, &format!("{BASE}/create?fromImage=free&tag=1"), "").await;
    let (_, pruned) = json(&host, Method::POST, &format!("{BASE}/prune?filters={all}")).await;
    assert_eq!(
        (&pruned["ImagesDeleted"][2]["Deleted"], &pruned["SpaceReclaimed"]),
        (&json!(free), &json!(1)),
        "{pruned}"
    );
}

#[tokio::test]
async fn archives_go_in_and_out() {
    let (host, _dir) = host().await;
    let load = async |query: &str, body: &'static str| {
        let (path, host) = (format!("{BASE}/load{query}"), &host);
        ask(host, Method::POST, &path, body).await
    };
    assert_eq!(load("", "a:1").await, (200, "{\"stream\":\"Loaded image: a:1\\n\"}\r\n".into()));
    let (_, told) = load("?quiet=0", "a:2").await;
    assert!(
        told.starts_with("{\"status\":\"Loading layer\",\"progressDetail\":{\"current\":1,\"total\":1}"),
        "{told}"
    );
    let broken = "{\"errorDetail\":{\"message\":\"unexpected EOF\"},\"error\":\"unexpected EOF\"}\r\n";
    assert_eq!(load("", "GARBAGE").await, (200, broken.into()));
    let id = async |name: &'static str| {
        get(&host, &format!("/images/{name}/json")).await["Id"].as_str().unwrap().to_owned()
    };
    let (first, second) = (id("a:1").await, id("a:2").await);
    let (status, one) = ask(&host, Method::GET, &format!("{BASE}/a:1/get"), "").await;
    assert_eq!((status, one), (200, format!("{first} a:1\n")));
    let (_, all) = ask(&host, Method::GET, &format!("{BASE}/get?names=a&names={first}"), "").await;
    assert_eq!(all, format!("{first} a:1\n{second} a:2\n"), "a repository stands for its tags");
    let missing = refused(&host, Method::GET, &format!("{BASE}/get?names=nope")).await;
    assert_eq!(missing, (404, "No such image: nope".into()));
}

#[tokio::test]
async fn archives_of_files_become_images() {
    // As the agent does when it starts; another test may have been first.
    _ = rustls::crypto::ring::default_provider().install_default();
    let (host, _dir) = host().await;
    let changes = escape("CMD [\"a\"]");
    let path = format!(
        "{BASE}/create?fromSrc=-&repo=made&tag=1&message=why&changes={changes}&changes={}",
        escape("ENV A=1")
    );
    let (status, told) = ask(&host, Method::POST, &path, "files").await;
    let made = get(&host, "/images/made:1/json").await;
    assert_eq!((status, told), (200, format!("{{\"status\":\"{}\"}}\r\n", made["Id"].as_str().unwrap())));
    assert_eq!(
        (&made["Comment"], &made["Config"]["Cmd"], &made["Config"]["Env"]),
        (&json!("why"), &json!(["a"]), &json!(["A=1"]))
    );
    for (query, body, status, message) in [
        ("fromSrc=-&changes=FROM+x", "files", 400, "FROM is not a valid change command"),
        (
            "fromSrc=-&repo=IMG",
            "files",
            400,
            "invalid reference format: repository name (library/IMG) must be lowercase",
        ),
        ("fromSrc=-", "nonsense", 500, "unexpected EOF"),
    ] {
        let (got, text) = ask(&host, Method::POST, &format!("{BASE}/create?{query}"), body).await;
        let text: Value = serde_json::from_str(&text).unwrap();
        assert_eq!((got, text["message"].as_str().unwrap()), (status, message), "{query}");
    }
    let (status, _) = json(&host, Method::POST, &format!("{BASE}/create?fromSrc=127.0.0.1:1/x")).await;
    assert_eq!(status, 500, "nobody listens there");
}

#[tokio::test]
async fn a_container_becomes_an_image() {
    let (host, _dir) = host().await;
    let changes = escape("ENV A=b");
    let path = format!("/commit?container=job&repo=made&tag=v1&comment=why&author=me&changes={changes}");
    let (status, made) = json(&host, Method::POST, &path).await;
    assert_eq!(status, 201, "{made}");
    let image = get(&host, "/images/made:v1/json").await;
    let parent = get(&host, "/images/job/json").await;
    assert_eq!((&image["Id"], &image["Parent"]), (&made["Id"], &parent["Id"]));
    assert_eq!(
        (&image["Author"], &image["Comment"], &image["Config"]["Env"]),
        (&json!("me"), &json!("why"), &json!(["A=b"]))
    );
    let history = get(&host, "/images/made:v1/history").await;
    assert_eq!((&history[0]["Comment"], &history[0]["Tags"]), (&json!("why"), &json!(["made:v1"])));
    let in_use = refused(&host, Method::DELETE, "/images/job?force=1").await;
    assert_eq!(in_use.0, 200, "its name goes, its child keeps it");
    for (query, status, message) in [
        ("", 400, "invalid name or ID supplied: \"\""),
        ("?container=nope", 404, "No such container: nope"),
        ("?container=job&changes=RUN+x", 400, "RUN is not a valid change command"),
        (
            "?container=job&repo=X",
            400,
            "invalid reference format: repository name (library/X) must be lowercase",
        ),
    ] {
        assert_eq!(
            refused(&host, Method::POST, &format!("/commit{query}")).await,
            (status, message.into()),
            "{query}"
        );
    }
}

#[tokio::test]
async fn registries_are_asked_on_behalf_of_clients() {
    let (host, _dir) = host().await;
    let auth = |body: &'static str| ask(&host, Method::POST, "/auth", body);
    let good = auth(r#"{"username":"joe","password":"secret","serveraddress":"r:5000"}"#).await;
    assert_eq!(good, (200, r#"{"IdentityToken":"","Status":"Login Succeeded"}"#.into()));
    let bad = auth(r#"{"username":"joe","password":"no"}"#).await;
    assert_eq!(bad, (500, r#"{"message":"login attempt failed with status: 401 Unauthorized"}"#.into()));
    assert_eq!(auth("{").await, (500, r#"{"message":"unexpected EOF"}"#.into()));
    let found = get(&host, "/distribution/web:1/json").await;
    assert_eq!(found["Platforms"], json!([{ "architecture": "amd64", "os": "linux" }]));
    assert_eq!(keys(&found["Descriptor"]), ["digest", "mediaType", "size"]);
    let missing = refused(&host, Method::GET, "/distribution/nope/json").await;
    assert_eq!(missing, (404, "manifest unknown: manifest unknown".into()));
    let hits = get(&host, &format!("{BASE}/search?term=web")).await;
    assert_eq!(
        hits,
        json!([{ "name": "web", "description": "", "is_official": true, "is_automated": false, "star_count": 0 }])
    );
    let starred = escape(r#"{"stars":["3"]}"#);
    assert_eq!(get(&host, &format!("{BASE}/search?term=web&filters={starred}")).await, json!([]));
    let odd = escape(r#"{"stars":["a"]}"#);
    for (query, message) in [
        ("term=x&limit=200".to_owned(), "limit 200 is outside the range of [1, 100]"),
        ("term=x&limit=x".to_owned(), "invalid limit specified: strconv.Atoi: parsing \"x\": invalid syntax"),
        (
            format!("term=x&filters={odd}"),
            "invalid filter 'stars=a': strconv.Atoi: parsing \"a\": invalid syntax",
        ),
    ] {
        assert_eq!(
            refused(&host, Method::GET, &format!("{BASE}/search?{query}")).await,
            (400, message.into())
        );
    }
}
