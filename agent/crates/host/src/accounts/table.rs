//! Lines of fields with colons between them, the first being the key. What is not understood stays as it is.

/// A file of such lines.
#[derive(Debug)]
pub(super) struct Table(Vec<Vec<String>>);

impl Table {
    pub(super) fn parse(text: &str) -> Self {
        Self(text.lines().map(|line| line.split(':').map(str::to_owned).collect()).collect())
    }

    pub(super) fn into_text(self) -> String {
        self.0.into_iter().map(|line| line.join(":") + "\n").collect()
    }

    fn line(&self, key: &str) -> Option<&Vec<String>> {
        self.0.iter().find(|line| line[0] == key)
    }

    /// The fields after the key.
    pub(super) fn fields(&self, key: &str) -> Option<Vec<String>> {
        self.line(key).map(|line| line[1..].to_vec())
    }

    /// The number of a user or group: the third field.
    pub(super) fn number(&self, key: &str) -> Option<u32> {
        self.line(key)?.get(2)?.parse().ok()
    }

    /// Whether any user or group has this number.
    pub(super) fn has_number(&self, number: u32) -> bool {
        self.0.iter().any(|line| line.get(2).and_then(|n| n.parse().ok()) == Some(number))
    }

    /// Sets the fields after the key, in its place or at the end.
    pub(super) fn set<const N: usize>(&mut self, key: &str, fields: [&str; N]) {
        let line: Vec<String> = [key].into_iter().chain(fields).map(str::to_owned).collect();
        match self.0.iter_mut().find(|line| line[0] == key) {
            Some(place) => *place = line,
            None => self.0.push(line),
        }
    }

    /// Adds to a field, after the key, that is a list with commas.
    pub(super) fn add_to_list(&mut self, key: &str, field: usize, item: &str) {
        let Some(line) = self.0.iter_mut().find(|line| line[0] == key) else { return };
        while line.len() <= field + 1 {
            line.push(String::new());
        }
        let list = &mut line[field + 1];
        if !list.split(',').any(|found| found == item) {
            if !list.is_empty() {
                list.push(',');
            }
            list.push_str(item);
        }
    }
}
