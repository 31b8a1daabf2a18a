//! Aligned columns of text.

/// On which side of its column a cell stands.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Align {
    Left,
    Right,
}

/// Rows under a heading; each column as wide as its widest cell.
pub(crate) struct Table {
    aligns: Vec<Align>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table whose heading names each column and its side.
    pub(crate) fn new(columns: &[(&str, Align)]) -> Table {
        let aligns = columns.iter().map(|(_, align)| *align).collect();
        Table { aligns, rows: vec![columns.iter().map(|(name, _)| name.to_string()).collect()] }
    }

    /// Adds a row; missing cells are empty.
    pub(crate) fn row(&mut self, cells: Vec<String>) {
        self.rows.push(cells);
    }

    /// Appends the lines to `out`, two spaces in.
    pub(crate) fn render(&self, out: &mut String) {
        let width = |column: usize| {
            let cells = self.rows.iter().filter_map(|row| row.get(column));
            cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..self.aligns.len()).map(width).collect();
        for row in &self.rows {
            let mut line = String::from(" ");
            for (column, align) in self.aligns.iter().enumerate() {
                let (cell, width) = (row.get(column).map_or("", String::as_str), widths[column]);
                line.push(' ');
                match align {
                    Align::Left => line.push_str(&format!("{cell:<width$}")),
                    Align::Right => line.push_str(&format!("{cell:>width$}")),
                }
                line.push(' ');
            }
            out.push_str(line.trim_end());
            out.push('\n');
        }
    }
}

/// A duration in the unit that leaves three digits before or two behind the point.
pub(crate) fn duration(ns: u64) -> String {
    let scaled = |unit_ns: f64, unit: &str| {
        let value = ns as f64 / unit_ns;
        if value < 10.0 { format!("{value:.2} {unit}") } else { format!("{value:.1} {unit}") }
    };
    match ns {
        0..1_000 => format!("{ns} ns"),
        1_000..1_000_000 => scaled(1e3, "us"),
        1_000_000..1_000_000_000 => scaled(1e6, "ms"),
        1_000_000_000..120_000_000_000 => scaled(1e9, "s"),
        _ => {
            let secs = ns / 1_000_000_000;
            let (days, hours, minutes) = (secs / 86_400, secs / 3_600 % 24, secs / 60 % 60);
            match days {
                0 if hours == 0 => format!("{minutes} min {:02} s", secs % 60),
                0 => format!("{hours} h {minutes:02} min"),
                _ => format!("{days} d {hours:02} h"),
            }
        }
    }
}

/// A whole number with its thousands apart.
pub(crate) fn grouped(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(' ');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_align() {
        let mut table = Table::new(&[("name", Align::Left), ("n", Align::Right)]);
        table.row(vec!["a".into(), "1 000".into()]);
        table.row(vec!["longer".into()]);
        let mut out = String::new();
        table.render(&mut out);
        assert_eq!(out, "  name        n\n  a       1 000\n  longer\n");
    }

    #[test]
    fn figures_are_readable() {
        let shown = [0, 999, 1_000, 12_345, 999_949, 1_500_000, 5_000_000_000, 130_000_000_000].map(duration);
        assert_eq!(
            shown,
            ["0 ns", "999 ns", "1.00 us", "12.3 us", "999.9 us", "1.50 ms", "5.00 s", "2 min 10 s"]
        );
        assert_eq!(duration(u64::MAX), "213503 d 23 h");
        assert_eq!([0, 999, 1_000, 1_234_567].map(grouped), ["0", "999", "1 000", "1 234 567"]);
    }
}
