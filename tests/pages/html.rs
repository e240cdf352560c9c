//! A page as HTML: one file with its style in it, no script, nothing fetched.

use super::{Block, Piece, pieces};

/// The page, under a line that says where it comes from.
pub fn html(origin: &str, blocks: &[Block]) -> String {
    let Some(Block::Title(title)) = blocks.first() else { panic!("a page begins with its title") };
    let body: String = blocks.iter().map(part).collect();
    format!(
        "<!doctype html>\n<!-- {origin} -->\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n<title>{title} · Claviger</title>\n\
         <style>{}</style>\n<main>\n{body}</main>\n</html>\n",
        style()
    )
}

/// What stands in the page's `<style>`, to the byte: its digest is in the page's policy.
pub fn style() -> &'static str {
    include_str!("style.css")
}

fn part(block: &Block) -> String {
    match block {
        Block::Title(title) => format!("<h1>{}</h1>\n", inline(title)),
        Block::Heading(title) => format!("<h2>{}</h2>\n", inline(title)),
        Block::Entry(code) => format!("<h3 id=\"{code}\"><a href=\"#{code}\"><code>{code}</code></a></h3>\n"),
        Block::Text(words) => format!("<p>{}</p>\n", inline(words)),
        Block::List(items) => format!("<ul>\n{}</ul>\n", lines("li", items)),
        // Long lines can be scrolled, with the keyboard too.
        Block::Example(text) => {
            format!("<pre tabindex=\"0\" role=\"region\" aria-label=\"Example\"><code>{}</code></pre>\n", escape(text))
        }
        Block::Index(groups) => {
            let groups: String = groups.iter().map(|(name, codes)| index(name, codes)).collect();
            format!("<nav aria-label=\"Codes\">\n<dl>\n{groups}</dl>\n</nav>\n")
        }
        Block::Facts(facts) => {
            let fact = |(name, values): &(&str, Vec<String>)| format!("<dt>{name}</dt>\n{}", lines("dd", values));
            format!("<dl>\n{}</dl>\n", facts.iter().map(fact).collect::<String>())
        }
    }
}

fn lines(tag: &str, items: &[String]) -> String {
    items.iter().map(|item| format!("<{tag}>{}</{tag}>\n", inline(item))).collect()
}

fn index(name: &str, codes: &[String]) -> String {
    let links: Vec<String> =
        codes.iter().map(|code| format!("<dd><a href=\"#{code}\"><code>{code}</code></a></dd>\n")).collect();
    format!("<dt>{}</dt>\n{}", inline(name), links.concat())
}

fn inline(text: &str) -> String {
    let tell = |piece: Piece| match piece {
        Piece::Plain(words) => escape(words),
        Piece::Code(code) => format!("<code>{}</code>", escape(code)),
        Piece::Link { name, address } => format!("<a href=\"{}\">{}</a>", escape(address), inline(name)),
    };
    pieces(text).into_iter().map(tell).collect()
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
