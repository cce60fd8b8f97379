//! What changes to a container's configuration come to, as Docker answers them.

use super::*;

fn base() -> Config {
    let base = json!({
        "Cmd": ["c"], "Entrypoint": ["/e"], "Env": ["A=1"], "ExposedPorts": { "1/tcp": {} }, "Labels": { "l": "1" },
        "OnBuild": null, "User": "u", "Volumes": { "/v": {} }, "WorkingDir": "/w",
    });
    base.as_object().cloned().unwrap()
}

/// The change, and the keys that are others afterwards or what is wrong with it.
type Row = (&'static str, Result<&'static str, &'static str>);

#[rustfmt::skip]
const ROWS: &[Row] = &[
    ("CMD [\"a\",\"b\"]", Ok(r#"{"Cmd":["a","b"]}"#)),
    ("CMD a b", Ok(r#"{"Cmd":["/bin/sh","-c","a b"]}"#)),
    ("CMD", Ok(r#"{"Cmd":["/bin/sh","-c"]}"#)),
    ("CMD [a", Ok(r#"{"Cmd":["/bin/sh","-c","[a"]}"#)),
    ("cmd x", Ok(r#"{"Cmd":["/bin/sh","-c","x"]}"#)),
    ("ENTRYPOINT [\"a\"]", Ok(r#"{"Cmd":null,"Entrypoint":["a"]}"#)),
    ("ENTRYPOINT a \"b c\"", Ok(r#"{"Cmd":null,"Entrypoint":["/bin/sh","-c","a \"b c\""]}"#)),
    ("ENTRYPOINT []", Ok(r#"{}"#)),
    ("ENTRYPOINT", Ok(r#"{}"#)),
    ("ENV A=2 B=\"x y\" C=a\\ b", Ok(r#"{"Env":["A=2","B=x y","C=a b"]}"#)),
    ("ENV A 2 3", Ok(r#"{"Env":["A=2 3"]}"#)),
    ("ENV X", Err("ENV must have two arguments")),
    ("ENV", Err("ENV requires at least one argument")),
    ("ENV =x", Err("ENV names can not be blank")),
    ("ENV B=$A", Ok(r#"{"Env":["A=1","B=1"]}"#)),
    ("ENV B=${A:-q}", Ok(r#"{"Env":["A=1","B=1"]}"#)),
    ("ENV B='$A'", Ok(r#"{"Env":["A=1","B=$A"]}"#)),
    ("EXPOSE 80", Ok(r#"{"ExposedPorts":{"1/tcp":{},"80/tcp":{}}}"#)),
    ("EXPOSE 80/udp 90-92", Ok(r#"{"ExposedPorts":{"1/tcp":{},"80/udp":{},"90/tcp":{},"91/tcp":{},"92/tcp":{}}}"#)),
    ("EXPOSE x", Err("Invalid containerPort: x")),
    ("EXPOSE 127.0.0.1:80:90", Ok(r#"{"ExposedPorts":{"1/tcp":{},"90/tcp":{}}}"#)),
    ("EXPOSE", Err("EXPOSE requires at least one argument")),
    ("LABEL a=b c=\"d e\"", Ok(r#"{"Labels":{"a":"b","c":"d e","l":"1"}}"#)),
    ("LABEL a b", Ok(r#"{"Labels":{"a":"b","l":"1"}}"#)),
    ("LABEL a", Err("LABEL must have two arguments")),
    ("LABEL", Err("LABEL requires at least one argument")),
    ("ONBUILD RUN x", Ok(r#"{"OnBuild":["RUN x"]}"#)),
    ("ONBUILD FROM x", Err("FROM isn't allowed as an ONBUILD trigger")),
    ("ONBUILD", Err("ONBUILD requires at least one argument")),
    ("ONBUILD ONBUILD RUN x", Err("Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed")),
    ("USER foo", Ok(r#"{"User":"foo"}"#)),
    ("USER", Err("USER requires exactly one argument")),
    ("USER a b", Ok(r#"{"User":"a b"}"#)),
    ("VOLUME /a /b", Ok(r#"{"Volumes":{"/a":{},"/b":{},"/v":{}}}"#)),
    ("VOLUME [\"/c\"]", Ok(r#"{"Volumes":{"/c":{},"/v":{}}}"#)),
    ("VOLUME", Err("VOLUME requires at least one argument")),
    ("VOLUME [\"\"]", Err("VOLUME specified can not be an empty string")),
    ("WORKDIR x", Ok(r#"{"WorkingDir":"/w/x"}"#)),
    ("WORKDIR /abs", Ok(r#"{"WorkingDir":"/abs"}"#)),
    ("WORKDIR", Err("WORKDIR requires exactly one argument")),
    ("WORKDIR a/../b", Ok(r#"{"WorkingDir":"/w/b"}"#)),
    ("WORKDIR C:\\x", Ok(r#"{"WorkingDir":"/w/C:x"}"#)),
    ("HEALTHCHECK CMD a b", Ok(r#"{"Healthcheck":{"Test":["CMD-SHELL","a b"]}}"#)),
    ("HEALTHCHECK --interval=5s --timeout=1s --retries=2 --start-period=3s --start-interval=1s CMD [\"a\"]", Ok(r#"{"Healthcheck":{"Interval":5000000000,"Retries":2,"StartInterval":1000000000,"StartPeriod":3000000000,"Test":["CMD","a"],"Timeout":1000000000}}"#)),
    ("HEALTHCHECK NONE", Ok(r#"{"Healthcheck":{"Test":["NONE"]}}"#)),
    ("HEALTHCHECK NONE x", Err("HEALTHCHECK NONE takes no arguments")),
    ("HEALTHCHECK", Err("HEALTHCHECK requires at least one argument")),
    ("HEALTHCHECK FOO x", Err("Unknown type \"FOO\" in HEALTHCHECK (try CMD)")),
    ("HEALTHCHECK --bogus=1 CMD x", Err("unknown flag: --bogus")),
    ("HEALTHCHECK --interval=x CMD y", Err("time: invalid duration \"x\"")),
    ("HEALTHCHECK --retries=-1 CMD y", Err("--retries cannot be negative (-1)")),
    ("HEALTHCHECK CMD", Err("Missing command after HEALTHCHECK CMD")),
    ("STOPSIGNAL SIGUSR1", Ok(r#"{"StopSignal":"SIGUSR1"}"#)),
    ("STOPSIGNAL 9", Ok(r#"{"StopSignal":"9"}"#)),
    ("STOPSIGNAL BOGUS", Err("invalid signal: BOGUS")),
    ("STOPSIGNAL", Err("STOPSIGNAL requires exactly one argument")),
    ("SHELL [\"a\"]", Err("SHELL is not a valid change command")),
    ("RUN x", Err("RUN is not a valid change command")),
    ("COPY a b", Err("COPY is not a valid change command")),
    ("MAINTAINER x", Err("MAINTAINER is not a valid change command")),
    ("ARG x", Err("ARG is not a valid change command")),
    ("", Err("file with no instructions")),
    ("# c", Err("file with no instructions")),
    ("ENV A=1\nENV B=2", Ok(r#"{"Env":["A=1","B=2"]}"#)),
    ("CMD --x=1 a", Err("unknown flag: --x")),
    ("USER $A", Ok(r#"{"User":"1"}"#)),
    ("WORKDIR $A", Ok(r#"{"WorkingDir":"/w/1"}"#)),
    ("LABEL x=$A", Ok(r#"{"Labels":{"l":"1","x":"1"}}"#)),
    ("CMD echo $A", Ok(r#"{"Cmd":["/bin/sh","-c","echo $A"]}"#)),
    ("ENTRYPOINT echo $A", Ok(r#"{"Cmd":null,"Entrypoint":["/bin/sh","-c","echo $A"]}"#)),
    ("VOLUME $A", Ok(r#"{"Volumes":{"/v":{},"1":{}}}"#)),
    ("EXPOSE $A", Ok(r#"{}"#)),
    ("STOPSIGNAL $A", Ok(r#"{"StopSignal":"1"}"#)),
    ("ENV A=\"a\\\"b\"", Ok(r#"{"Env":["A=a\"b"]}"#)),
    ("LABEL \"com.x\"=\"y z\" b='c d'", Ok(r#"{"Labels":{"b":"c d","com.x":"y z","l":"1"}}"#)),
    ("ENV A=a \\\n B=b", Ok(r#"{"Env":["A=a","B=b"]}"#)),
    ("CMD [\"a\", \"b\"", Ok(r#"{"Cmd":["/bin/sh","-c","[\"a\", \"b\""]}"#)),
    ("FOO", Err("FOO is not a valid change command")),
    ("ENV A=b=c", Ok(r#"{"Env":["A=b=c"]}"#)),
    ("ENV A=\"unclosed", Err("failed to process \"\\\"unclosed\": unexpected end of statement while looking for matching double-quote")),
    ("EXPOSE 99999", Err("Invalid containerPort: 99999")),
    ("EXPOSE 80/sctp", Ok(r#"{"ExposedPorts":{"1/tcp":{},"80/sctp":{}}}"#)),
    ("EXPOSE 80/foo", Err("Invalid proto: foo")),
    ("EXPOSE 80/TCP", Ok(r#"{"ExposedPorts":{"1/tcp":{},"80/tcp":{}}}"#)),
    ("CMD [\"a\", 1]", Err("when using JSON array syntax, arrays must be comprised of strings only")),
    ("CMD []", Ok(r#"{"Cmd":null}"#)),
];

#[test]
fn changes_come_to_what_docker_makes_of_them() {
    for (change, expected) in ROWS {
        let mut config = base();
        let got = apply(&mut config, &[(*change).to_owned()]).map(|()| {
            let before = base();
            config.retain(|key, value| before.get(key) != Some(value));
            Value::Object(config)
        });
        let expected =
            expected.map(|text| serde_json::from_str::<Value>(text).unwrap()).map_err(str::to_owned);
        assert_eq!(got, expected, "{change:?}");
    }
}

#[test]
fn several_changes_are_one_text() {
    let mut config = Config::new();
    let changes = ["CMD [\"x\"]", "ENTRYPOINT [\"y\"]", "ENV A=1", "ENV B=$A"].map(str::to_owned);
    apply(&mut config, &changes).unwrap();
    assert_eq!(
        Value::Object(config.clone()),
        json!({ "Cmd": ["x"], "Entrypoint": ["y"], "Env": ["A=1", "B=1"] })
    );
    assert!(apply(&mut config, &[]).is_ok());
}
