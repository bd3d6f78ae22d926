use super::embedding_csv::{Embedding, Point};
use super::frame::{Frame, HEIGHT, WIDTH};
use super::groups::{Group, by_size, groups};
use super::marks::{self, Mark};
use super::quality_json::Quality;
use crate::report::html::escape::Escaped;
use crate::report::html::number;

/// Points drawn of a longer table: enough to see the shape, and a page that
/// opens at once.
const DRAWN: usize = 5000;

/// Names written into a picture.
const NAMED: usize = 40;

/// Points that a group needs to be named in a picture.
const LEAST: usize = 5;

/// Characters of a name written into a picture.
const LETTERS: usize = 20;

/// What groups are named in the pictures themselves: studies lie in one another,
/// if all went well, and have no middle of their own.
const CLASS: &str = "class";

/// A place of a [`Point`] in one of the two pictures.
type Place = fn(&Point) -> Option<[f64; 2]>;

/// A row that has a place in a picture.
#[derive(Debug, Clone, Copy)]
struct Placed<'a> {
    point: &'a Point,
    at: [f64; 2],
}

/// The latent rows along two principal components and in a neighbour
/// embedding, each coloured by class and, where there are several, by study.
pub(super) fn section(quality: &Quality, embedding: &Embedding) -> String {
    let classes = groups(quality.classes.iter().map(|c| (c.name.as_str(), c.rows)));
    let studies = groups(quality.studies.iter().map(|s| (s.name.as_str(), s.rows)));
    let mut out = format!(
        "<p>A point is a row of a study. Silhouette and neighbours are taken over all {}, not in the pictures: \
         in two dimensions groups may lie on one another that are apart. In the neighbour embedding only who lies \
         beside whom has a meaning, not how far groups lie from one another.</p>",
        number::counted(quality.latent, "latent value", "latent values"),
    );
    let share = |i: usize| {
        let share = quality
            .pc_variance
            .get(i)
            .map(|s| format!(", {} % of the variance", number::fixed(s * 100.0, 1)));
        format!("component {}{}", i + 1, share.unwrap_or_default())
    };
    out.push_str(&legend("Studies", &studies, 0));
    let pictures: [(&str, Place, [String; 2]); 2] = [
        ("Principal components", |p| Some(p.pc), [share(0), share(1)]),
        ("Neighbour embedding (t-SNE)", |p| p.tsne, [String::new(), String::new()]),
    ];
    for (name, place, axes) in pictures {
        let placed: Vec<Placed> =
            embedding.points.iter().filter_map(|point| Some(Placed { point, at: place(point)? })).collect();
        let placed = thinned(&placed, DRAWN);
        if placed.is_empty() {
            out.push_str(&format!(
                "<h3>{name}</h3><p>There is none: the rows were too few, or all the same.</p>"
            ));
            continue;
        }
        let of = if placed.len() < embedding.points.len() {
            let (drawn, all) = (placed.len() as u64, embedding.points.len() as u64);
            format!(", {} of {} rows", number::count(drawn), number::count(all))
        } else {
            String::new()
        };
        let frame = Frame::around(placed.iter().map(|p| p.at));
        let drawn = Drawn { name, placed: &placed, frame: &frame, axes: &axes };
        out.push_str(&format!("<h3>{name}{of}</h3><div class=\"maps\">"));
        if !classes.is_empty() {
            out.push_str(&drawn.picture(CLASS, &classes, |p| p.class, &by_class(quality)));
        }
        if studies.len() > 1 || classes.is_empty() {
            out.push_str(&drawn.picture("study", &studies, |p| Some(p.study), &by_study(quality)));
        }
        out.push_str("</div>");
    }
    let without = embedding.points.iter().filter(|p| p.class.is_none()).count();
    if !classes.is_empty() {
        out.push_str(&legend("Classes", &classes, without));
    }
    out
}

fn by_class(quality: &Quality) -> String {
    let (of, knn) = (&quality.silhouette, &quality.knn);
    let accuracy = [knn.class_accuracy, knn.class_accuracy_val];
    measures([of.class, of.class_val], knn.k, accuracy, knn.majority_share)
}

fn by_study(quality: &Quality) -> String {
    let (of, knn) = (&quality.silhouette, &quality.knn);
    measures([of.study, of.study_val], knn.k, [knn.study_accuracy, None], knn.study_majority_share)
}

/// Measures of all rows and of held-out rows.
fn measures(
    silhouette: [Option<f64>; 2],
    k: u64,
    accuracy: [Option<f64>; 2],
    largest: Option<f64>,
) -> String {
    let mut parts = Vec::new();
    parts.extend(measure("silhouette", silhouette));
    if let Some(accuracy) = measure(&format!("{k}-NN accuracy"), accuracy) {
        let largest = largest.map(|s| format!(" (majority {})", number::fixed(s, 3)));
        parts.push(format!("{accuracy}{}", largest.unwrap_or_default()));
    }
    parts.join(" · ")
}

/// A measure of held-out rows, and of all rows beside it; of all rows where there is no other.
fn measure(name: &str, [all, held_out]: [Option<f64>; 2]) -> Option<String> {
    let fixed = |value: f64| number::fixed(value, 3);
    match (held_out, all) {
        (Some(held_out), Some(all)) => {
            Some(format!("{name} held out <b>{}</b>, all rows {}", fixed(held_out), fixed(all)))
        }
        (held_out, all) => Some(format!("{name} <b>{}</b>", fixed(held_out.or(all)?))),
    }
}

/// What the pictures of one kind share.
struct Drawn<'a> {
    name: &'a str,
    placed: &'a [&'a Placed<'a>],
    frame: &'a Frame,
    axes: &'a [String; 2],
}

impl Drawn<'_> {
    /// A picture with `group` giving each point's place in `groups`; the
    /// largest groups lie below.
    fn picture(
        &self,
        by: &str,
        groups: &[Group],
        group: fn(&Point) -> Option<usize>,
        measures: &str,
    ) -> String {
        let r = if self.placed.len() > 1500 { 1.5 } else { 2.2 };
        let of = |wanted: Option<usize>| {
            let rows = self.placed.iter().filter(move |p| group(p.point) == wanted);
            rows.map(|p| self.frame.place(p.at)).collect::<Vec<_>>()
        };
        let mut out = format!(
            "<figure><figcaption>by <b>{by}</b>{}{measures}</figcaption><svg class=\"chart map\" viewBox=\"0 0 {WIDTH} \
             {HEIGHT}\" role=\"img\" aria-label=\"{} by {by}\">{}",
            if measures.is_empty() { "" } else { " · " },
            self.name,
            self.frame.draw(self.axes)
        );
        out.push_str(&marks::path(None, of(None).into_iter(), r, &format!("no {by}")));
        let places = by_size(groups);
        let drawn: Vec<(usize, Vec<[f64; 2]>)> = places.into_iter().map(|i| (i, of(Some(i)))).collect();
        for (i, points) in &drawn {
            out.push_str(&marks::path(groups[*i].mark, points.iter().copied(), r, groups[*i].name));
        }
        if by == CLASS {
            out.push_str(&names(groups, &drawn));
        }
        out.push_str("</svg></figure>");
        out
    }
}

/// Names at the middle of their groups, the largest groups first; those of a few
/// points and those that would lie on another are left out.
fn names(groups: &[Group], drawn: &[(usize, Vec<[f64; 2]>)]) -> String {
    let (mut out, mut taken): (String, Vec<[f64; 3]>) = (String::new(), Vec::new());
    for (i, points) in drawn.iter().filter(|(_, points)| points.len() >= LEAST).take(NAMED) {
        let name: String = match groups[*i].name.char_indices().nth(LETTERS) {
            Some((end, _)) => format!("{}…", &groups[*i].name[..end]),
            None => groups[*i].name.into(),
        };
        // Half of what a character of this size takes at most.
        let half = 3.5 * name.chars().count() as f64;
        let middle = |axis: usize| {
            let mut values: Vec<f64> = points.iter().map(|p| p[axis]).collect();
            values.sort_unstable_by(f64::total_cmp);
            values[values.len() / 2]
        };
        let (x, y) = (middle(0).clamp(half.min(WIDTH / 2.0), (WIDTH - half).max(WIDTH / 2.0)), middle(1));
        if taken.iter().all(|[a, b, other]| (x - a).abs() > half + other || (y - b).abs() > 10.0) {
            taken.push([x, y, half]);
            out.push_str(&format!(
                "<text class=\"name\" x=\"{x:.1}\" y=\"{:.1}\">{}</text>",
                y + 3.0,
                Escaped(&name)
            ));
        }
    }
    out
}

fn legend(title: &str, groups: &[Group], without: usize) -> String {
    let mut items = String::new();
    for place in by_size(groups) {
        let group = &groups[place];
        items.push_str(&item(marks::sign(group.mark), group.name, group.rows));
    }
    if without > 0 {
        items.push_str(&item(marks::sign(None), "none", without as u64));
    }
    let beyond = groups.len().saturating_sub(Mark::MOST);
    let more = if beyond > 0 { format!(", the smallest {beyond} drawn alike") } else { String::new() };
    format!("<h4>{title}, rows each{more}</h4><ul class=\"groups\">{items}</ul>")
}

fn item(sign: String, name: &str, rows: u64) -> String {
    format!("<li>{sign}<span>{}</span> <small>{}</small></li>", Escaped(name), number::count(rows))
}

/// At most `most` of `rows`, evenly taken and the same ones each time.
fn thinned<T>(rows: &[T], most: usize) -> Vec<&T> {
    if rows.len() <= most {
        return rows.iter().collect();
    }
    // u128: the product of two lengths.
    let at = |i: usize| (i as u128 * rows.len() as u128 / most as u128) as usize;
    (0..most).map(|i| &rows[at(i)]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_table_is_thinned_evenly() {
        let rows: Vec<usize> = (0..12_345).collect();
        let kept = thinned(&rows, 100);
        assert_eq!((kept.len(), *kept[0]), (100, 0));
        assert!(kept.windows(2).all(|w| (123..=124).contains(&(w[1] - w[0]))));
        assert_eq!(thinned(&rows[..3], 100).len(), 3);
    }

    #[test]
    fn names_do_not_lie_on_one_another() {
        let groups = groups(
            [("breast", 5), ("lung", 4), ("skin and the rest of it, long", 3), ("rare", 4)].into_iter(),
        );
        let drawn = vec![
            (0, vec![[100.0, 50.0]; 5]),
            (1, vec![[104.0, 52.0]; 5]),
            (2, vec![[1.0, 150.0], [2.0, 150.0], [2.5, 150.0], [3.0, 150.0], [3.5, 150.0]]),
            (3, vec![[300.0, 250.0]; 4]),
        ];
        let out = names(&groups, &drawn);
        assert!(out.contains("breast") && !out.contains("lung") && !out.contains("rare"), "{out}");
        assert!(out.contains("x=\"73.5\"") && out.contains("skin and the rest of…"), "{out}");
    }
}
