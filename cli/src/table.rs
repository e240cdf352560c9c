//! Rows for people to read: aligned columns, and nothing in them that moves a terminal's cursor.

/// Two spaces between columns, each as wide as its widest cell; the first row names the columns.
pub fn table(rows: &[Vec<String>]) -> String {
    let rows: Vec<Vec<String>> = rows.iter().map(|row| row.iter().map(|cell| plain(cell)).collect()).collect();
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or_default()
    };
    let widths: Vec<usize> = (0..rows.iter().map(Vec::len).max().unwrap_or_default()).map(width).collect();
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// The text without what is no character to look at: an escape sequence in a name could redraw the terminal.
pub fn plain(text: &str) -> String {
    let is_plain = |c: &char| {
        !c.is_control() && !matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    text.chars().map(|c| if is_plain(&c) { c } else { '\u{fffd}' }).collect()
}

#[cfg(test)]
mod tests {
    use super::{plain, table};

    #[test]
    fn columns_line_up_and_a_name_cannot_redraw_the_terminal() {
        let row = |cells: [&str; 3]| cells.map(str::to_owned).to_vec();
        let rows = [row(["id", "name", "status"]), row(["1", "Größe", "active"]), row(["22", "x", "\u{1b}[2J"])];
        assert_eq!(table(&rows), "id  name   status\n1   Größe  active\n22  x      \u{fffd}[2J");
        assert_eq!(plain("a\nb\u{202e}"), "a\u{fffd}b\u{fffd}");
        assert_eq!(table(&[]), "");
    }
}
