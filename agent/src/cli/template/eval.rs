//! Nodes and a value to text.

use super::functions;
use super::parse::{Base, Command, Node, Operand, Pipeline};
use crate::cli::json::{Json, LABELS};

/// Variables in force, innermost last; `$` is the whole value.
struct Scope {
    variables: Vec<(String, Json)>,
    out: String,
}

/// Renders nodes.
pub(super) fn render(nodes: &[Node], value: &Json) -> Result<String, String> {
    let mut scope = Scope { variables: vec![("$".to_owned(), value.clone())], out: String::new() };
    scope.nodes(nodes, value)?;
    Ok(scope.out)
}

impl Scope {
    fn nodes(&mut self, nodes: &[Node], dot: &Json) -> Result<(), String> {
        let outer = self.variables.len();
        for node in nodes {
            self.node(node, dot)?;
        }
        self.variables.truncate(outer);
        Ok(())
    }

    fn node(&mut self, node: &Node, dot: &Json) -> Result<(), String> {
        let outer = self.variables.len();
        match node {
            Node::Text(text) => self.out.push_str(text),
            Node::Print(pipeline) => {
                let value = self.pipeline(pipeline, dot)?;
                match pipeline.variables.first() {
                    // A declaration prints nothing, and lasts to the end of the block.
                    Some(name) => self.variables.push((name.clone(), value)),
                    None => self.out.push_str(&functions::print(&value)),
                }
                return Ok(());
            }
            Node::If { test, then, otherwise } => {
                let value = self.declare(test, dot)?;
                let branch = if functions::truth(&value) { then } else { otherwise };
                self.nodes(branch, dot)?;
            }
            Node::With { value, then, otherwise } => {
                let value = self.declare(value, dot)?;
                match functions::truth(&value) {
                    true => self.nodes(then, &value)?,
                    false => self.nodes(otherwise, dot)?,
                }
            }
            Node::Range { over, each, otherwise } => {
                let entries = entries(self.pipeline(over, dot)?)?;
                if entries.is_empty() {
                    self.nodes(otherwise, dot)?;
                }
                for (key, value) in entries {
                    match over.variables.as_slice() {
                        [item] => self.variables.push((item.clone(), value.clone())),
                        [index, item] => {
                            self.variables.push((index.clone(), key));
                            self.variables.push((item.clone(), value.clone()));
                        }
                        _ => {}
                    }
                    self.nodes(each, &value)?;
                    self.variables.truncate(outer);
                }
            }
        }
        self.variables.truncate(outer);
        Ok(())
    }

    fn declare(&mut self, pipeline: &Pipeline, dot: &Json) -> Result<Json, String> {
        let value = self.pipeline(pipeline, dot)?;
        if let Some(name) = pipeline.variables.first() {
            self.variables.push((name.clone(), value.clone()));
        }
        Ok(value)
    }

    fn pipeline(&self, pipeline: &Pipeline, dot: &Json) -> Result<Json, String> {
        let mut last = None;
        for command in &pipeline.commands {
            last = Some(self.command(command, last, dot)?);
        }
        last.ok_or_else(|| "missing value for command".to_owned())
    }

    fn command(&self, command: &Command, piped: Option<Json>, dot: &Json) -> Result<Json, String> {
        let Some((first, rest)) = command.split_first() else { return Err("empty command".to_owned()) };
        let arguments = rest.iter().map(|operand| self.operand(operand, dot));
        let arguments = arguments.chain(piped.map(Ok)).collect::<Result<Vec<Json>, String>>()?;
        match &first.base {
            Base::Function(name) => functions::call(name, &arguments),
            _ if arguments.is_empty() => self.operand(first, dot),
            Base::Dot if first.fields == ["Label"] && dot.get(LABELS).is_some() => {
                let name = functions::print(&arguments[0]);
                // The head of a column of labels is the label's name.
                Ok(match dot.get(LABELS) {
                    Some(Json::Object(_)) => {
                        Json::Text(dot.get(LABELS).map_or("", |l| l.text(&name)).to_owned())
                    }
                    _ => Json::Text(name),
                })
            }
            _ => Err("can't give argument to non-function".to_owned()),
        }
    }

    fn operand(&self, operand: &Operand, dot: &Json) -> Result<Json, String> {
        let base = match &operand.base {
            Base::Dot => dot.clone(),
            Base::Literal(value) => value.clone(),
            Base::Function(name) => functions::call(name, &[])?,
            Base::Nested(pipeline) => self.pipeline(pipeline, dot)?,
            Base::Variable(name) => {
                let found = self.variables.iter().rev().find(|(n, _)| n == name);
                found.map(|(_, v)| v.clone()).ok_or_else(|| format!("undefined variable {name:?}"))?
            }
        };
        let taken = operand.fields.iter().try_fold(base, |value, name| field(&value, name));
        taken.map_err(|why| match &operand.base {
            Base::Dot => format!("at <.{}>: {why}", operand.fields.join(".")),
            Base::Variable(name) => format!("at <{name}.{}>: {why}", operand.fields.join(".")),
            _ => why,
        })
    }
}

fn field(value: &Json, name: &str) -> Result<Json, String> {
    match value {
        Json::Object(_) => {
            let found = value.get(name).or_else(|| value.get_as_spelled_in_go(name));
            found.cloned().ok_or_else(|| format!("map has no entry for key {name:?}"))
        }
        Json::Null => Err(format!("nil pointer evaluating .{name}")),
        other => Err(format!("can't evaluate field {name} in {}", functions::print(other))),
    }
}

/// What `range` goes over, with indexes or keys. Maps go by key, as in Go.
fn entries(value: Json) -> Result<Vec<(Json, Json)>, String> {
    match value {
        Json::Null => Ok(Vec::new()),
        Json::List(items) => {
            Ok(items.into_iter().enumerate().map(|(i, v)| (Json::Number(i.into()), v)).collect())
        }
        Json::Object(mut fields) => {
            fields.sort_by(|a, b| a.0.cmp(&b.0));
            Ok(fields.into_iter().map(|(k, v)| (Json::Text(k), v)).collect())
        }
        other => Err(format!("range can't iterate over {}", functions::print(&other))),
    }
}
