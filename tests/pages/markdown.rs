//! A page as Markdown. GitHub makes the anchors out of the headings: a code's is the code.

use super::Block;

/// Characters of a line.
const WIDTH: usize = 120;

/// The page, under a line that says where it comes from.
pub fn markdown(origin: &str, blocks: &[Block]) -> String {
    let mut text = String::new();
    for (number, block) in blocks.iter().enumerate() {
        text += &match block {
            Block::Title(title) => format!("# {title}\n"),
            Block::Heading(title) => format!("## {title}\n"),
            Block::Entry(code) => format!("### {code}\n"),
            Block::Text(words) => wrap("", words),
            Block::List(items) => items.iter().map(|item| wrap("- ", item)).collect(),
            Block::Example(lines) => format!("```json\n{lines}\n```\n"),
            Block::Index(groups) => groups.iter().map(|(name, codes)| wrap("- ", &index_line(name, codes))).collect(),
            Block::Facts(facts) => facts.iter().map(|(name, values)| fact(name, values)).collect(),
        };
        text.push('\n');
        if number == 0 {
            text += &format!("<!-- {origin} -->\n\n");
        }
    }
    text.trim_end().to_owned() + "\n"
}

fn index_line(name: &str, codes: &[String]) -> String {
    let links: Vec<String> = codes.iter().map(|code| format!("[{code}](#{code})")).collect();
    format!("{name}: {}", links.join(", "))
}

fn fact(name: &str, values: &[String]) -> String {
    match values {
        [value] => wrap("- ", &format!("**{name}:** {value}")),
        values => format!("- **{name}:**\n{}", values.iter().map(|value| wrap("  - ", value)).collect::<String>()),
    }
}

fn wrap(mark: &str, words: &str) -> String {
    let (mut text, mut line) = (String::new(), mark.to_owned());
    for (number, word) in words.split(' ').enumerate() {
        if number > 0 && line.chars().count() + 1 + word.chars().count() > WIDTH {
            text += &(line + "\n");
            line = " ".repeat(mark.len());
        } else if number > 0 {
            line.push(' ');
        }
        line += word;
    }
    text + &line + "\n"
}
