//! Text to nodes.

use crate::cli::json::Json;

/// How deep blocks and parentheses may be nested.
const MAX_DEPTH: usize = 100;

/// A piece of a template.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Node {
    Text(String),
    /// A pipeline whose value is printed.
    Print(Pipeline),
    If {
        test: Pipeline,
        then: Vec<Node>,
        otherwise: Vec<Node>,
    },
    With {
        value: Pipeline,
        then: Vec<Node>,
        otherwise: Vec<Node>,
    },
    Range {
        over: Pipeline,
        each: Vec<Node>,
        otherwise: Vec<Node>,
    },
}

/// Commands, each fed with the value of the one before; the result may be kept in variables.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Pipeline {
    pub(super) variables: Vec<String>,
    pub(super) commands: Vec<Command>,
}

/// A function or a value, and arguments.
pub(super) type Command = Vec<Operand>;

/// One word of a command, with the fields that are taken from it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Operand {
    pub(super) base: Base,
    pub(super) fields: Vec<String>,
}

/// What an operand begins with.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Base {
    Dot,
    Variable(String),
    Function(String),
    Literal(Json),
    Nested(Pipeline),
}

/// The parts of a template: text, and what stands between braces.
enum Part {
    Text(String),
    Action(String),
}

fn split(text: &str) -> Result<Vec<Part>, String> {
    let (mut parts, mut rest, mut trim_next) = (Vec::new(), text, false);
    loop {
        let open = rest.find("{{");
        let (before, after) = open.map_or((rest, None), |at| (&rest[..at], Some(&rest[at + 2..])));
        let mut before = if trim_next { before.trim_start() } else { before };
        let trimmed = after.and_then(|a| a.strip_prefix("- "));
        if trimmed.is_some() {
            before = before.trim_end();
        }
        if !before.is_empty() {
            parts.push(Part::Text(before.to_owned()));
        }
        let Some(action) = trimmed.or(after) else { return Ok(parts) };
        let end = closing(action)?;
        let inner = &action[..end];
        rest = &action[end + 2..];
        trim_next = inner.ends_with(" -");
        let inner = inner.strip_suffix(" -").unwrap_or(inner).trim();
        if !(inner.starts_with("/*") && inner.ends_with("*/")) {
            parts.push(Part::Action(inner.to_owned()));
        }
    }
}

/// Where an action ends; braces within quotes are text.
fn closing(action: &str) -> Result<usize, String> {
    let (mut quote, mut escaped) = (None, false);
    for (at, character) in action.char_indices() {
        match (quote, character) {
            (Some(_), _) if escaped => escaped = false,
            (Some('"'), '\\') => escaped = true,
            (Some(open), c) if c == open => quote = None,
            (Some(_), _) => {}
            (None, '"' | '`') => quote = Some(character),
            (None, '}') if action[at..].starts_with("}}") => return Ok(at),
            (None, _) => {}
        }
    }
    Err(if quote.is_some() { "unterminated quoted string" } else { "unclosed action" }.to_owned())
}

/// Parses a template.
pub(super) fn parse(text: &str) -> Result<Vec<Node>, String> {
    let mut parts = split(text)?.into_iter();
    match block(&mut parts, 0)? {
        (nodes, End::Text) => Ok(nodes),
        (_, End::Block) => Err("unexpected {{end}}".to_owned()),
        (_, End::Else(_)) => Err("unexpected {{else}}".to_owned()),
    }
}

/// What ended a block.
enum End {
    Text,
    Block,
    /// With what follows the word, as in `else if`.
    Else(String),
}

fn block(parts: &mut std::vec::IntoIter<Part>, depth: usize) -> Result<(Vec<Node>, End), String> {
    if depth > MAX_DEPTH {
        return Err("nested too deeply".to_owned());
    }
    let mut nodes = Vec::new();
    while let Some(part) = parts.next() {
        let action = match part {
            Part::Text(text) => {
                nodes.push(Node::Text(text));
                continue;
            }
            Part::Action(action) => action,
        };
        let (word, rest) = action.split_once(char::is_whitespace).unwrap_or((&action, ""));
        match word {
            "end" => return Ok((nodes, End::Block)),
            "else" => return Ok((nodes, End::Else(rest.trim().to_owned()))),
            "if" | "with" | "range" => nodes.push(control(word, rest, parts, depth)?),
            _ => nodes.push(Node::Print(pipeline(&action)?)),
        }
    }
    Ok((nodes, End::Text))
}

fn control(
    word: &str,
    rest: &str,
    parts: &mut std::vec::IntoIter<Part>,
    depth: usize,
) -> Result<Node, String> {
    let value = pipeline(rest)?;
    let unfinished = || "unexpected EOF: a block has no {{end}}".to_owned();
    let (then, end) = block(parts, depth + 1)?;
    let otherwise = match end {
        End::Block => Vec::new(),
        End::Text => return Err(unfinished()),
        End::Else(more) => match more.split_once(char::is_whitespace) {
            Some((next @ ("if" | "with"), test)) => vec![control(next, test, parts, depth + 1)?],
            _ => match block(parts, depth + 1)? {
                (nodes, End::Block) => nodes,
                _ => return Err(unfinished()),
            },
        },
    };
    Ok(match word {
        "if" => Node::If { test: value, then, otherwise },
        "with" => Node::With { value, then, otherwise },
        _ => Node::Range { over: value, each: then, otherwise },
    })
}

#[derive(Debug, Clone, PartialEq)]
enum Token {
    Open,
    /// With the fields that follow.
    Close(Vec<String>),
    Pipe,
    Comma,
    Assign,
    Word(Base, Vec<String>),
}

fn tokens(text: &str) -> Result<Vec<Token>, String> {
    let (mut tokens, mut rest) = (Vec::new(), text.trim_start());
    while let Some(first) = rest.chars().next() {
        let (token, length) = match first {
            '(' => (Token::Open, 1),
            ')' => {
                let (fields, length) = fields(&rest[1..]);
                (Token::Close(fields), 1 + length)
            }
            '|' => (Token::Pipe, 1),
            ',' => (Token::Comma, 1),
            ':' if rest.starts_with(":=") => (Token::Assign, 2),
            '=' => (Token::Assign, 1),
            '"' => quoted(rest)?,
            '`' => {
                let end = rest[1..].find('`').ok_or("unterminated raw quoted string")?;
                (Token::Word(Base::Literal(Json::Text(rest[1..=end].to_owned())), vec![]), end + 2)
            }
            _ => word(rest)?,
        };
        tokens.push(token);
        rest = rest[length..].trim_start();
    }
    Ok(tokens)
}

fn quoted(rest: &str) -> Result<(Token, usize), String> {
    let mut stream = serde_json::Deserializer::from_str(rest).into_iter::<String>();
    match stream.next() {
        Some(Ok(text)) => Ok((Token::Word(Base::Literal(Json::Text(text)), vec![]), stream.byte_offset())),
        _ => Err(format!("unterminated quoted string: {rest}")),
    }
}

fn name_length(text: &str) -> usize {
    text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len())
}

/// `.A.B` at the beginning of a text, and how long it is.
fn fields(text: &str) -> (Vec<String>, usize) {
    let (mut fields, mut at) = (Vec::new(), 0);
    while let Some(rest) = text[at..].strip_prefix('.') {
        let length = name_length(rest);
        if length == 0 {
            break;
        }
        fields.push(rest[..length].to_owned());
        at += 1 + length;
    }
    (fields, at)
}

fn word(rest: &str) -> Result<(Token, usize), String> {
    let first = rest.chars().next().unwrap_or_default();
    if first == '.' {
        let (fields, length) = fields(rest);
        return Ok((Token::Word(Base::Dot, fields), length.max(1)));
    }
    if first == '$' {
        let length = 1 + name_length(&rest[1..]);
        let (fields, more) = fields(&rest[length..]);
        return Ok((Token::Word(Base::Variable(rest[..length].to_owned()), fields), length + more));
    }
    if first.is_ascii_digit() || first == '-' || first == '+' {
        let length =
            1 + rest[1..].find(|c: char| !c.is_ascii_alphanumeric() && c != '.').unwrap_or(rest.len() - 1);
        let number: serde_json::Number = serde_json::from_str(&rest[..length])
            .map_err(|_| format!("bad number syntax: {:?}", &rest[..length]))?;
        return Ok((Token::Word(Base::Literal(Json::Number(number)), vec![]), length));
    }
    let length = name_length(rest);
    let base = match &rest[..length] {
        "" => return Err(format!("unexpected {first:?}")),
        "true" => Base::Literal(Json::Bool(true)),
        "false" => Base::Literal(Json::Bool(false)),
        "nil" => Base::Literal(Json::Null),
        name if super::functions::NAMES.contains(&name) => Base::Function(name.to_owned()),
        name => return Err(format!("function {name:?} not defined")),
    };
    Ok((Token::Word(base, vec![]), length))
}

fn pipeline(text: &str) -> Result<Pipeline, String> {
    let tokens = tokens(text)?;
    let (variables, rest) = declaration(&tokens)?;
    let mut rest = rest.iter();
    let (commands, closed) = commands(&mut rest, 0)?;
    match closed {
        None => Ok(Pipeline { variables, commands }),
        Some(_) => Err("unexpected right paren".to_owned()),
    }
}

/// `$x :=` or `$i, $x :=`.
fn declaration(tokens: &[Token]) -> Result<(Vec<String>, &[Token]), String> {
    let Some(at) = tokens.iter().position(|t| *t == Token::Assign) else { return Ok((vec![], tokens)) };
    let mut variables = Vec::new();
    for (index, token) in tokens[..at].iter().enumerate() {
        match token {
            Token::Word(Base::Variable(name), fields) if index % 2 == 0 && fields.is_empty() => {
                variables.push(name.clone());
            }
            Token::Comma if index % 2 == 1 => {}
            _ => return Err("unexpected := after something that is no variable".to_owned()),
        }
    }
    match variables.len() {
        1 | 2 => Ok((variables, &tokens[at + 1..])),
        _ => Err("one or two variables can be declared at once".to_owned()),
    }
}

type Closed = Option<Vec<String>>;

fn commands(
    tokens: &mut std::slice::Iter<'_, Token>,
    depth: usize,
) -> Result<(Vec<Command>, Closed), String> {
    if depth > MAX_DEPTH {
        return Err("nested too deeply".to_owned());
    }
    let (mut commands, mut command, mut closed) = (Vec::new(), Vec::new(), None);
    while let Some(token) = tokens.next() {
        match token {
            Token::Word(base, fields) => command.push(Operand { base: base.clone(), fields: fields.clone() }),
            Token::Open => {
                let (inner, end) = self::commands(tokens, depth + 1)?;
                let fields = end.ok_or("unclosed left paren")?;
                let nested = Pipeline { variables: vec![], commands: inner };
                command.push(Operand { base: Base::Nested(nested), fields });
            }
            Token::Close(fields) => {
                closed = Some(fields.clone());
                break;
            }
            Token::Pipe if command.is_empty() => break,
            Token::Pipe => commands.push(std::mem::take(&mut command)),
            Token::Comma | Token::Assign => return Err("unexpected comma or assignment".to_owned()),
        }
    }
    if command.is_empty() {
        return Err("missing value for command".to_owned());
    }
    commands.push(command);
    Ok((commands, closed))
}
