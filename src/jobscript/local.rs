use super::body;
use super::request::Request;
use super::text::Text;

/// A script for a machine without a scheduler.
pub fn script(request: &Request) -> String {
    let mut text = Text::default();
    body::head(
        request,
        "Save it and start it with bash; started again after a stop, a crash or a power cut, it goes on.",
        &mut text,
    );
    body::start(request, &mut text);
    body::prepare(request, "0", &mut text);
    body::run(request, &mut text);
    text.finish()
}
