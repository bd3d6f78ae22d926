use super::body;
use super::request::Request;
use super::text::Text;

/// A script for the qsub of PBS Professional and OpenPBS.
pub fn script(request: &Request) -> String {
    let mut text = Text::default();
    body::head(request, "Save it and submit it by qsub.", &mut text);
    resources(request, &mut text);
    for directive in &request.directives {
        text.line(format!("#PBS {directive}"));
    }
    text.gap();
    body::start(request, &mut text);
    body::prepare(request, "$PBS_ARRAY_INDEX", &mut text);
    body::run(request, &mut text);
    text.finish()
}

fn resources(request: &Request, text: &mut Text) {
    let layout = &request.layout;
    text.line(format!("#PBS -N {}", request.name));
    text.line("#PBS -S /bin/bash");
    if let Some(account) = &request.account {
        text.line(format!("#PBS -A {account}"));
    }
    if let Some(queue) = &request.queue {
        text.line(format!("#PBS -q {queue}"));
    }
    text.line(format!("#PBS -l walltime={}", request.clock()));
    if request.is_array() {
        text.say("One element a deck, each a job of its own on as many nodes as told here.");
        text.line(format!("#PBS -J 0-{}", request.studies.len() - 1));
    }
    match request.machine.and_then(|machine| machine.select) {
        Some(select) => {
            text.line(format!("#PBS -l select={}:{select}", layout.nodes));
            text.say("One chunk a node; nodes are given whole.");
            text.line("#PBS -l place=scatter");
        }
        None => {
            text.say("A chunk is a node's part: its cores, its ranks (mpiprocs, lines of $PBS_NODEFILE) and its GPUs.");
            let cores = request.layout.cores.map_or(1, |cores| cores * layout.ranks_per_node);
            let gpus = if layout.gpus > 0 { format!(":ngpus={}", layout.gpus) } else { String::new() };
            text.line(format!(
                "#PBS -l select={}:ncpus={cores}:mpiprocs={}{gpus}",
                layout.nodes, layout.ranks_per_node
            ));
            if request.machine.is_some_and(|machine| !machine.whole_nodes) {
                text.say("Each chunk on a node of its own, which no other job shares.");
                text.line("#PBS -l place=scatter:excl");
            } else {
                text.say("Each chunk on a node of its own; scatter:excl keeps other jobs off it.");
                text.line("#PBS -l place=scatter");
            }
        }
    }
    for (directive, why) in request.machine.map_or(&[][..], |machine| machine.directives) {
        if !request.overrides(directive) {
            text.say(why);
            text.line(format!("#PBS {directive}"));
        }
    }
    text.say("One log of both streams, written where it can be read while the job runs (k: d needs PBS 18 or later).");
    text.line("#PBS -j oe").line("#PBS -k doe");
    if request.requeue {
        text.say("PBS may start it again from its beginning, after a preemption or the loss of a node.");
        text.line("#PBS -r y");
    } else if !request.is_array() {
        text.say("Without --requeue PBS does not start it again by itself.");
        text.line("#PBS -r n");
    }
}
