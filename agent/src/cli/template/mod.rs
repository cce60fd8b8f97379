//! The part of Go's text/template that people use with `--format`: fields, pipes, `range`, `if`, `with`, variables, and the
//! functions that Docker adds.

mod eval;
mod functions;
mod parse;

use crate::cli::failure::Failure;
use crate::cli::json::Json;

/// Exit code for a template that cannot be read, as Docker's.
const UNREADABLE: i32 = 64;

/// A parsed template.
#[derive(Debug)]
pub(crate) struct Template {
    source: String,
    nodes: Vec<parse::Node>,
}

impl Template {
    /// Parses a template. `\t` and `\n` written out mean tab and newline, as shells make hard to type them.
    pub(crate) fn parse(text: &str) -> Result<Self, Failure> {
        let source = text.replace("\\t", "\t").replace("\\n", "\n");
        match parse::parse(&source) {
            Ok(nodes) => Ok(Self { source, nodes }),
            Err(why) => Err(Failure {
                code: UNREADABLE,
                ..Failure::new(format!("template parsing error: template: :1: {why}"))
            }),
        }
    }

    /// Renders a value.
    pub(crate) fn render(&self, value: &Json) -> Result<String, Failure> {
        eval::render(&self.nodes, value).map_err(|why| {
            let column = self.column(&why).map_or_else(String::new, |column| format!(":{column}"));
            Failure::new(format!("template parsing error: template: :1{column}: executing \"\" {why}"))
        })
    }

    /// Where the last field of what a sentence is about stands.
    fn column(&self, why: &str) -> Option<usize> {
        let about = why.strip_prefix("at <")?.split('>').next()?;
        Some(self.source.find(about)? + about.rfind('.')?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WEB: &str = r#"{
        "Id": "0123456789", "Name": "/web", "Empty": "", "Null": null, "Size": 12, "Big": 1.5,
        "State": {"Status": "running", "Running": true, "Pid": 42},
        "Args": ["-c", "echo <hi>"],
        "Ports": {"80/tcp": [{"HostIp": "0.0.0.0", "HostPort": "8080"}], "443/tcp": null},
        "Labels": {"a.b": "c"}
    }"#;

    fn render(template: &str) -> Result<String, String> {
        let value: Json = serde_json::from_str(WEB).unwrap();
        Template::parse(template).and_then(|t| t.render(&value)).map_err(|e| e.message)
    }

    #[test]
    fn templates_render_as_in_go() {
        let rows = [
            ("{{.State.Status}}", "running"),
            ("{{.Name}}\\t{{.State.Pid}}", "/web\t42"),
            ("{{json .State}}", r#"{"Status":"running","Running":true,"Pid":42}"#),
            ("{{json .Args}}", r#"["-c","echo <hi>"]"#),
            ("{{.Args | json}}", r#"["-c","echo <hi>"]"#),
            ("{{.Args}} {{.State}}", "[-c echo <hi>] map[Pid:42 Running:true Status:running]"),
            ("{{range .Args}}<{{.}}>{{end}}", "<-c><echo <hi>>"),
            ("{{range $i, $a := .Args}}{{$i}}={{$a}};{{end}}", "0=-c;1=echo <hi>;"),
            (
                "{{range $p, $c := .Ports}}{{$p}} {{if $c}}{{(index $c 0).HostPort}}{{else}}-{{end}} {{end}}",
                "443/tcp - 80/tcp 8080 ",
            ),
            ("{{range .Null}}x{{else}}none{{end}}", "none"),
            ("{{index .Labels \"a.b\"}}", "c"),
            ("{{index .Labels \"nope\"}}|", "|"),
            ("{{index .Args 1}}", "echo <hi>"),
            ("{{(index (index .Ports \"80/tcp\") 0).HostPort}}", "8080"),
            ("{{if .Empty}}a{{else if .State.Running}}b{{else}}c{{end}}", "b"),
            ("{{if and .State.Running (eq .State.Status \"running\" \"x\")}}y{{end}}", "y"),
            ("{{if not .Empty}}y{{end}}{{with .State}}{{.Pid}}{{end}}", "y42"),
            ("{{range .Args}}{{println .}}{{end}}", "-c\necho <hi>\n"),
            ("{{println}}", "\n"),
            ("{{join .Args \" \"}} {{upper .Name}} {{len .Args}}", "-c echo <hi> /WEB 2"),
            ("{{printf \"%s=%d %q %v%%\" .Name .Size .Name .Big}}", "/web=12 \"/web\" 1.5%"),
            ("{{slice .Id 0 4}} {{truncate .Id 3}}", "0123 012"),
            ("{{split .Name \"/\"}}", "[ web]"),
            ("a {{- .Size -}} b{{/* nothing */}}", "a12b"),
            ("{{$x := .Size}}{{range .Args}}{{$x}}{{$.Name}}{{end}}", "12/web12/web"),
            ("{{.Null}}", "<no value>"),
            ("{{.NAME}}", "/web"),
            ("{{\"a\" | printf \"%s-%s\" `b`}}", "b-a"),
            ("{{gt .Size 5}} {{ne .Name \"x\"}} {{le .Size 3}}", "true true false"),
        ];
        for (template, text) in rows {
            assert_eq!(render(template).as_deref(), Ok(text), "{template}");
        }
    }

    #[test]
    fn broken_templates_say_what_is_wrong() {
        let rows = [
            ("{{.Nope}}", "map has no entry for key \"Nope\""),
            ("{{.Name.X}}", "can't evaluate field X"),
            ("{{.Name", "unclosed action"),
            ("{{range .Args}}", "unexpected EOF"),
            ("{{end}}", "unexpected {{end}}"),
            ("{{nope .Name}}", "function \"nope\" not defined"),
            ("{{$x}}", "undefined variable \"$x\""),
            ("{{index .Args 9}}", "index out of range: 9"),
            ("{{range .Size}}{{end}}", "range can't iterate over 12"),
            ("{{}}", "missing value for command"),
            ("{{.Name | }}", "missing value for command"),
            ("{{(.Name}}", "unclosed left paren"),
            ("{{\"abc}}", "unterminated quoted string"),
        ];
        for (template, wanted) in rows {
            let error = render(template).unwrap_err();
            assert!(error.contains(wanted), "{template}: {error}");
        }
    }

    #[test]
    fn nesting_has_an_end() {
        let deep = format!("{}{}", "{{if .Size}}".repeat(5_000), "{{end}}".repeat(5_000));
        assert!(render(&deep).unwrap_err().contains("nested too deeply"));
        let parens = format!("{{{{{}.Size{}}}}}", "(".repeat(5_000), ")".repeat(5_000));
        assert!(render(&parens).unwrap_err().contains("nested too deeply"));
    }
}
