//! Made-up places in, lines out.

use super::*;

/// `ranks` ranks on each of `hosts` hosts, each rank bound to `cores` processors of its own.
fn block(hosts: usize, ranks: usize, cores: usize) -> Vec<Seat> {
    let seat = |rank: usize| {
        let (host, local) = (rank / ranks, rank % ranks);
        Seat {
            host: format!("n{:03}", host + 1),
            node: host * ranks,
            cores: ranges::numbers(local * cores..(local + 1) * cores),
            bound: cores,
            bound_cores: cores,
            threads: cores,
            processors: ranks * cores,
            idle: 0,
            gpu: None,
            gpus_seen: 0,
        }
    };
    (0..hosts * ranks).map(seat).collect()
}

fn on_gpus(mut seats: Vec<Seat>, ranks: usize, gpus: usize) -> Vec<Seat> {
    for (rank, seat) in seats.iter_mut().enumerate() {
        let index = rank % ranks % gpus;
        let identity = format!("{}-{index}", seat.host);
        seat.gpu = Some((index, "NVIDIA H100".into(), identity));
        seat.gpus_seen = gpus;
    }
    seats
}

#[test]
fn hosts_of_one_layout_are_one_line() {
    assert_eq!(lines(&block(1, 1, 8)), ["1 rank on 1 host, 8 threads each", "  n001: rank 0 on cores 0-7"]);
    assert_eq!(
        lines(&on_gpus(block(2, 2, 8), 2, 2)),
        [
            "4 ranks on 2 hosts, 8 threads each",
            "  n[001-002]: ranks 0-3, 2 a host, on cores 0-7 | 8-15, GPU 0 | 1"
        ]
    );
    let large = lines(&on_gpus(block(512, 8, 7), 8, 4));
    assert_eq!(
        large,
        [
            "4096 ranks on 512 hosts, 7 threads each",
            "  n[001-512]: ranks 0-4095, 8 a host, on cores 0-6 | 7-13 | 14-20 | 21-27 | 28-34 | 35-41 | 42-48 | 49-55, GPU 0 | 1 | 2 | 3 | 0 | 1 | 2 | 3"
        ]
    );
}

#[test]
fn hosts_that_differ_have_lines_of_their_own() {
    let mut seats = block(3, 2, 4);
    // The last host has but one rank, with all the cores, of another number of threads.
    seats.truncate(5);
    seats[4] = Seat { cores: "0-7".into(), bound: 8, threads: 8, ..seats[4].clone() };
    assert_eq!(
        lines(&seats),
        [
            "5 ranks on 3 hosts, 4 to 8 threads each",
            "  n[001-002]: ranks 0-3, 2 a host, on cores 0-3 | 4-7, threads 4 each",
            "  n003: rank 4 on cores 0-7, threads 8"
        ]
    );
    let many: Vec<Seat> = (0..40)
        .map(|rank| Seat {
            cores: rank.to_string(),
            host: format!("n{rank}"),
            node: rank,
            ..seats[0].clone()
        })
        .collect();
    let told = lines(&many);
    assert_eq!(told.len(), 1 + LAYOUTS + 1);
    assert_eq!(told[told.len() - 1], "  and 24 layouts more: --log-file has every rank");
}

#[test]
fn ranks_dealt_in_turn_and_cores_shared_are_told_so() {
    let mut seats = block(2, 2, 4);
    for (rank, seat) in seats.iter_mut().enumerate() {
        (seat.host, seat.node) = (format!("n{}", rank % 2), rank % 2);
        seat.cores = "0-7".into();
    }
    assert_eq!(lines(&seats)[1], "  n[0-1]: ranks 0-3, 2 a host, on cores 0-7 shared");
    (seats[3].host, seats[3].node) = ("other".into(), 3);
    assert_eq!(
        lines(&seats)[1..],
        ["  n0: ranks 0,2 on cores 0-7 shared", "  n1,other: ranks 1,3, 1 a host, on cores 0-7"]
    );
    assert_eq!(lines(&block(1, 1, 1))[1], "  n001: rank 0 on core 0");
    let wide = lines(&block(1, 64, 1));
    assert_eq!(wide[1], "  n001: ranks 0-63 on cores 0 | 1 | ... | 63");
}

#[test]
fn the_table_has_a_line_a_rank() {
    let table = table(&on_gpus(block(2, 2, 8), 2, 2));
    assert_eq!(table.len(), 4);
    assert_eq!(table[3], "rank 3 on n002: cores 8-15, 8 threads, GPU 1 NVIDIA H100 (n002-1)");
}

#[test]
fn a_good_placement_is_not_warned_of() {
    assert!(warnings(&on_gpus(block(4, 4, 8), 4, 4), Launcher::Slurm).is_empty());
    // Four of 64 cores are kept for the system.
    let mut seats = block(1, 4, 15);
    seats[0].idle = 4;
    assert!(warnings(&seats, Launcher::Slurm).is_empty());
}

#[test]
fn oversubscription_and_narrow_bindings_are_told_with_what_mends_them() {
    let mut seats = block(2, 4, 1);
    seats.iter_mut().for_each(|seat| seat.threads = 2);
    assert_eq!(
        warnings(&seats, Launcher::Unknown),
        ["8 threads share the 4 processors of a host: the machine is oversubscribed (n001 and 1 other host)"]
    );
    let mut seats = block(2, 4, 1);
    (seats[0].idle, seats[4].idle) = (60, 60);
    let told = |launcher| warnings(&seats, launcher).join("; ");
    assert_eq!(
        told(Launcher::OpenMpi),
        "ranks are bound to 1 processor each, while no rank uses 60 cores of a host (n001 and 1 other host): mpirun --bind-to none, or --map-by slot:PE=16"
    );
    assert!(told(Launcher::Slurm).ends_with(": srun -c 16"));
    assert!(told(Launcher::Pals).ends_with(": mpiexec --depth=16 --cpu-bind depth"));
    assert!(told(Launcher::Hydra).ends_with(": mpiexec -bind-to core:16"));
    let all = told(Launcher::Unknown);
    // With hyperthreads a core is two processors, of which Slurm counts.
    seats.iter_mut().for_each(|seat| (seat.bound, seat.processors) = (2, 8));
    let told = |launcher| warnings(&seats, launcher).join("; ");
    assert!(told(Launcher::OpenMpi).ends_with("slot:PE=16") && told(Launcher::Slurm).ends_with("srun -c 32"));
    assert!(["PE=16", "srun -c 16", "--depth=16", "core:16"].iter().all(|words| all.contains(words)));
}

#[test]
fn gpus_that_nobody_uses_are_counted_by_identity() {
    let told = warnings(&on_gpus(block(1, 2, 8), 2, 4), Launcher::Slurm);
    assert_eq!(told, ["no rank uses 2 of the 4 GPUs of a host (n001): start at least a rank a GPU"]);
    // Each rank sees its own GPU alone, as number 0.
    let mut seats = on_gpus(block(1, 4, 8), 4, 4);
    for seat in &mut seats {
        seat.gpus_seen = 1;
        if let Some(gpu) = &mut seat.gpu {
            gpu.0 = 0;
        }
    }
    assert!(warnings(&seats, Launcher::Slurm).is_empty());
    let told = |seats: &[Seat]| lines(seats).swap_remove(1);
    assert!(told(&seats).ends_with(", GPU 0, another for each"), "{}", told(&seats));
    seats.iter_mut().for_each(|seat| seat.gpu = Some((0, "NVIDIA H100".into(), "one".into())));
    assert!(told(&seats).ends_with(", GPU 0 shared"), "{}", told(&seats));
}

#[test]
fn hosts_of_one_name_are_told_apart() {
    let mut seats = block(2, 1, 4);
    seats.iter_mut().for_each(|seat| seat.host = "box".into());
    assert_eq!(
        lines(&seats),
        ["2 ranks on 2 hosts, 4 threads each", "  box: ranks 0-1, 1 a host, on cores 0-3"]
    );
}
