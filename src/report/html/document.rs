use super::escape::Escaped;

const STYLE: &str = include_str!("style.css");

/// A whole page of `sections`: the id, the heading and the content of each, those without content
/// left out. `head` stands below the title and before the list of sections; `style` follows the
/// pages' own. The title is text, all else is HTML.
pub(crate) fn document(title: &str, head: &str, style: &str, sections: &[(&str, &str, String)]) -> String {
    let mut body = String::new();
    let mut contents = String::new();
    for (id, name, section) in sections.iter().filter(|(_, _, section)| !section.is_empty()) {
        contents.push_str(&format!("<a href=\"#{id}\">{name}</a>"));
        body.push_str(&format!("<section id=\"{id}\"><h2>{name}</h2>{section}</section>\n"));
    }
    let title = Escaped(title);
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n<link rel=\"icon\" href=\"data:,\">\n\
         <title>{title}</title>\n<style>\n{STYLE}{style}</style>\n</head>\n<body>\n<main>\n\
         <header><h1>{title}</h1>{head}<nav>{contents}</nav></header>\n{body}</main>\n</body>\n</html>\n"
    )
}
