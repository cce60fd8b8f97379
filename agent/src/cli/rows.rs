//! Lists of objects: as a table, as JSON lines, or through a template.

use crate::cli::failure::Failure;
use crate::cli::json::Json;
use crate::cli::table;
use crate::cli::template::Template;

/// How a list is written.
#[derive(Debug)]
pub(crate) enum Format {
    /// Aligned, with a head line.
    Table(Template),
    /// One JSON object a line.
    Lines,
    /// One template a line.
    Template(Template),
}

impl Format {
    /// Reads `--format`: nothing and `table` are the default columns.
    pub(crate) fn parse(given: Option<&str>, default_table: &str) -> Result<Self, Failure> {
        match given.map(str::trim) {
            None | Some("" | "table") => Self::template(default_table).map(Self::Table),
            Some("json") => Ok(Self::Lines),
            Some(format) => match format.strip_prefix("table ") {
                Some(columns) => Self::template(columns).map(Self::Table),
                None => Self::template(format).map(Self::Template),
            },
        }
    }

    fn template(text: &str) -> Result<Template, Failure> {
        Template::parse(text).map_err(|failure| Failure {
            message: failure.message.replace("template parsing error:", "failed to parse template:"),
            code: 1,
            ..failure
        })
    }

    /// Whether a field is shown.
    pub(crate) fn shows(given: Option<&str>, field: &str) -> bool {
        given.is_some_and(|format| format.contains(field))
    }

    /// Writes rows; `heads` names the columns by field.
    pub(crate) fn write<const N: usize>(
        &self,
        heads: [(&str, &str); N],
        rows: &[Json],
    ) -> Result<String, Failure> {
        let lines =
            |template: &Template| rows.iter().map(|r| render(template, r)).collect::<Result<Vec<_>, _>>();
        match self {
            Self::Table(template) => {
                let head = render(template, &Json::row(heads.map(|(k, v)| (k, v.to_owned())), Json::Null))?;
                Ok(table::align(&std::iter::once(head).chain(lines(template)?).collect::<Vec<_>>()))
            }
            Self::Template(template) => Ok(lines(template)?.into_iter().map(|l| l + "\n").collect()),
            Self::Lines => Ok(rows.iter().map(|r| r.write(false) + "\n").collect()),
        }
    }
}

fn render(template: &Template, row: &Json) -> Result<String, Failure> {
    template.render(row).map_err(|failure| Failure {
        message: failure.message.replace("template parsing error:", "failed to execute template:"),
        ..failure
    })
}
