//! Columns as Docker aligns them: each at least ten wide, three blanks between, the last one as it is.

const MINIMUM: usize = 10;
const PADDING: usize = 3;

/// Aligns lines whose cells are separated by tabs.
pub(crate) fn align(lines: &[String]) -> String {
    align_to(lines, MINIMUM)
}

/// Aligns lines to columns of another least width.
pub(crate) fn align_to(lines: &[String], minimum: usize) -> String {
    let rows: Vec<Vec<&str>> = lines.iter().map(|l| l.split('\t').collect()).collect();
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    // A last cell ends no column: it does not make it wider.
    let widest = |column: usize| {
        rows.iter().filter(|r| r.len() > column + 1).map(|r| r[column].chars().count() + PADDING).max()
    };
    let widths: Vec<usize> = (0..columns).map(|c| widest(c).unwrap_or(0).max(minimum)).collect();
    let mut text = String::new();
    for row in rows {
        for (column, cell) in row.iter().enumerate() {
            text.push_str(cell);
            if column + 1 < row.len() {
                text.extend(std::iter::repeat_n(' ', widths[column] - cell.chars().count()));
            }
        }
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_as_docker_does() {
        let lines = ["DRIVER\tVOLUME NAME".to_owned(), "local\tdata".to_owned()];
        assert_eq!(align(&lines), "DRIVER    VOLUME NAME\nlocal     data\n");
        let lines = ["A\tB\tC".to_owned(), "a long one\t\tc".to_owned()];
        assert_eq!(align(&lines), "A            B         C\na long one             c\n");
    }
}
