use super::bar::Bar;
use super::heartbeat::{self, Heartbeat};
use super::tally::Tally;
use crate::comm::{Communicator, Tag};
use crate::report::phrase::count;
use crate::{Error, Result, status, stop};
use std::time::{Duration, Instant};

/// Deals tasks to groups of ranks as they become free, first to last. Rank 0
/// of the world keeps the list: the leaders of other groups ask it, and it
/// answers between its own steps ([`Farm::serve`]) and at the end. Whichever
/// rank is told to stop, rank 0 tells the leaders, and no task is dealt any more.
/// With its wish for the next task a leader says what became of the last one,
/// which rank 0 logs for all of them.
pub struct Farm<'a> {
    world: &'a dyn Communicator,
    group: &'a dyn Communicator,
    /// Ranks a group.
    ranks: usize,
    tally: Tally,
    dealt: usize,
    /// When this rank says that work goes on: rank 0 of the world alone does.
    heart: Heartbeat,
    bar: &'a Bar,
    /// What the leader of another group has to say of its last task.
    news: Vec<u8>,
    /// Leaders of other groups that will still ask.
    asking: Vec<usize>,
    /// Ranks of no group, or of one whose tasks are done, which ask once, for nothing.
    idle: Vec<usize>,
    /// The study stops; on rank 0 of the world, and all leaders know.
    stopping: bool,
}

const NONE: u64 = u64::MAX;

/// How long rank 0 sleeps between looks at who asks, when it has no work of its own.
const NAP: Duration = Duration::from_millis(1);

/// Cut of a world of ranks into groups of one size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grouping {
    /// Ranks a group.
    pub ranks: usize,
    /// Number of groups that work.
    pub groups: usize,
}

impl Grouping {
    /// Groups of `wish` ranks, or of one while there are tasks for all, or of
    /// an equal share of the ranks; with fixed lanes, of a size that they can
    /// be dealt to.
    pub fn of(world: usize, tasks: usize, wish: Option<usize>, lanes: Option<usize>) -> Self {
        let share = wish.unwrap_or(world / tasks.max(1)).max(1);
        let ranks = match (wish, lanes) {
            (None, Some(lanes)) if !lanes.is_power_of_two() => {
                if lanes <= share {
                    lanes
                } else {
                    1
                }
            }
            (None, Some(lanes)) => lanes.min(1 << share.ilog2()),
            _ => share,
        };
        Self { ranks, groups: (world / ranks).min(tasks.max(1)) }
    }

    /// The group of a rank; ranks that are left over share the last number and do nothing.
    pub fn group_of(&self, rank: usize) -> usize {
        (rank / self.ranks).min(self.groups)
    }

    /// Refuses groups of more ranks than there are.
    pub fn check(&self, world: usize) -> Result<()> {
        if self.ranks > world {
            let what = format!("study.ranks_per_task = {} is more than the {world} there are", self.ranks);
            return Err(Error::Ranks(what));
        }
        Ok(())
    }
}

impl std::fmt::Display for Grouping {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} of {}", count(self.groups, "group"), count(self.ranks, "rank"))
    }
}

impl<'a> Farm<'a> {
    /// A list of the tasks of `tally` for the groups of `grouping`. Every rank makes one; that of rank 0 says at
    /// intervals of `every` that work goes on, with `bar` out of the way.
    pub fn new(
        world: &'a dyn Communicator,
        group: &'a dyn Communicator,
        grouping: Grouping,
        tally: Tally,
        every: Option<Duration>,
        bar: &'a Bar,
    ) -> Self {
        let asking = (1..grouping.groups).map(|number| number * grouping.ranks).collect();
        let idle = (grouping.groups * grouping.ranks..world.size()).collect();
        Self {
            world,
            group,
            ranks: grouping.ranks,
            tally,
            dealt: 0,
            heart: Heartbeat::new(every.filter(|_| world.rank() == 0)),
            bar,
            news: Vec::new(),
            asking,
            idle,
            stopping: false,
        }
    }

    /// The next task of this group, by number; `None` when there is none left
    /// or the study stops. Every rank of the group calls it.
    pub fn next(&mut self) -> Option<usize> {
        let _others_may_train_for_long = status::patience();
        let mut grant = Vec::new();
        if self.world.rank() == 0 {
            self.serve();
            grant = self.deal().to_ne_bytes().to_vec();
        } else if self.group.rank() == 0 {
            let mut request = vec![u8::from(self.stop_wished())];
            request.append(&mut self.news);
            self.world.send(0, Tag::Request, &request);
            grant = self.world.receive(Some(0), Tag::Grant).1;
            // A word of the stop may have come before it.
            self.serve();
        }
        self.group.broadcast(0, &mut grant);
        let mut bytes = [0; 8];
        bytes.copy_from_slice(&grant);
        let task = u64::from_ne_bytes(bytes);
        (task != NONE).then_some(task as usize)
    }

    /// Says that a task is complete, which took so many seconds, those of earlier jobs among them. The leader of
    /// the group calls it.
    pub fn finished(&mut self, number: usize, seconds: f64, what: &str) {
        if self.world.rank() == 0 {
            return self.tell(number, seconds, what);
        }
        // For the log file of this rank; rank 0 hears of it with the next request.
        log::info!("{what}");
        self.news = [&(number as u64).to_le_bytes(), &seconds.to_le_bytes(), what.as_bytes()].concat();
    }

    /// Takes what another leader has to say of its last task.
    fn hear(&mut self, news: &[u8]) {
        if let Some((number, rest)) = news.split_first_chunk::<8>()
            && let Some((seconds, what)) = rest.split_first_chunk::<8>()
        {
            let number = usize::try_from(u64::from_le_bytes(*number)).unwrap_or(usize::MAX);
            self.tell(number, f64::from_le_bytes(*seconds), &String::from_utf8_lossy(what));
        }
    }

    fn tell(&mut self, number: usize, seconds: f64, what: &str) {
        self.tally.finish(number, seconds);
        let standing = self.tally.standing(self.tally.now());
        self.bar.log(|| log::info!("{what}; {standing}"));
    }

    /// Whether it is time for this rank to say that work goes on.
    #[inline]
    pub fn beat_is_due(&self, now: Instant) -> bool {
        self.heart.due(now)
    }

    /// Says what goes on, and how far the study is.
    pub fn beat(&mut self, what: &str, now: Instant) {
        self.heart.said(now);
        let standing = self.tally.standing(self.tally.now());
        self.bar.log(|| log::info!("{what}; {standing}"));
    }

    /// Tasks dealt so far; known on rank 0 of the world alone.
    pub fn dealt(&self) -> usize {
        self.dealt
    }

    /// Whether this rank knows that the study is to stop.
    pub fn stop_wished(&self) -> bool {
        self.stopping || stop::wished()
    }

    /// Takes it that the group has stopped its task: it will ask for no other.
    pub fn stop(&mut self) {
        if self.world.rank() == 0 {
            self.spread();
        }
        self.stopping = true;
    }

    /// Answers those who have asked and spreads the word of a stop. Does
    /// nothing on a rank that leads no group.
    pub fn serve(&mut self) {
        if self.world.rank() == 0 {
            if stop::wished() {
                self.spread();
            }
            while !(self.asking.is_empty() && self.idle.is_empty()) {
                let Some((leader, request)) = self.world.try_receive(Tag::Request) else { break };
                self.answer(leader, &request);
            }
        } else if self.group.rank() == 0 && self.world.try_receive(Tag::Stop).is_some() {
            self.stopping = true;
        }
    }

    /// Waits until every group knows that no task is left, and lets the idle ranks go.
    pub fn finish(mut self) {
        if self.world.rank() > 0 {
            return self.idle();
        }
        let _others_may_train_for_long = status::patience();
        self.retire(0);
        while !self.asking.is_empty() {
            self.serve();
            let now = Instant::now();
            if self.heart.due(now) {
                // Each of them is at its last task.
                self.beat(&heartbeat::waiting(self.asking.len()), now);
            }
            std::thread::sleep(NAP);
        }
        self.spread();
        while !self.idle.is_empty() {
            self.serve();
            std::thread::sleep(NAP);
        }
    }

    /// Counts the ranks of the group of `leader` among the idle, who may still be told to stop.
    fn retire(&mut self, leader: usize) {
        let ranks = leader.max(1)..leader + self.ranks;
        if self.stopping {
            ranks.clone().for_each(|rank| self.world.send(rank, Tag::Stop, &[]));
        }
        self.idle.extend(ranks);
    }

    /// On a rank without a task: waits for the end of the study, and for a wish to stop.
    pub fn idle(self) {
        let _others_may_train_for_long = status::patience();
        while !self.stop_wished() && self.world.try_receive(Tag::Stop).is_none() {
            std::thread::sleep(NAP);
        }
        self.world.send(0, Tag::Request, &[u8::from(stop::wished())]);
        self.world.receive(Some(0), Tag::Grant);
        // Where it was this rank that wished to stop, the word of it has come back.
        self.world.try_receive(Tag::Stop);
    }

    /// Tells the leaders and the idle that the study stops or is over, once.
    fn spread(&mut self) {
        if !std::mem::replace(&mut self.stopping, true) {
            self.asking.iter().chain(&self.idle).for_each(|&rank| self.world.send(rank, Tag::Stop, &[]));
        }
    }

    fn answer(&mut self, leader: usize, request: &[u8]) {
        let (stopping, news) = request.split_at(request.len().min(1));
        if stopping == [1] {
            self.spread();
        }
        self.hear(news);
        let task = self.deal();
        if task == NONE {
            match self.asking.iter().position(|&other| other == leader) {
                Some(place) => {
                    self.asking.swap_remove(place);
                    self.retire(leader);
                }
                None => self.idle.retain(|&other| other != leader),
            }
        }
        self.world.send(leader, Tag::Grant, &task.to_ne_bytes());
    }

    fn deal(&mut self) -> u64 {
        if self.dealt == self.tally.tasks() || self.stopping {
            return NONE;
        }
        self.tally.deal(self.dealt, self.tally.now());
        self.dealt += 1;
        self.dealt as u64 - 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::comm::Serial;

    /// That many tasks of one size.
    fn equal(tasks: usize) -> Tally {
        Tally::new(&vec![100; tasks], 0, 2)
    }

    #[test]
    fn groups_have_one_size_and_no_more_than_there_are_tasks() {
        let of = |world, tasks, wish, lanes| {
            let g = Grouping::of(world, tasks, wish, lanes);
            (g.ranks, g.groups)
        };
        assert_eq!(of(1, 12, None, None), (1, 1));
        assert_eq!(of(8, 12, None, None), (1, 8));
        assert_eq!(of(32, 12, None, None), (2, 12));
        assert_eq!(of(40, 12, None, Some(4)), (2, 12));
        assert_eq!(of(40, 12, Some(8), Some(8)), (8, 5));
        assert_eq!(of(4, 1, None, None), (4, 1));
        assert_eq!(Grouping::of(40, 12, Some(7), None).group_of(39), 5);
        assert!(Grouping::of(4, 12, Some(5), None).check(4).is_err());
    }

    #[test]
    fn every_task_is_dealt_once_to_whichever_group_asks() {
        for (groups, tasks) in [(4, 11), (3, 3)] {
            let grouping = Grouping { ranks: 1, groups };
            let dealt = crate::comm::threads::on_ranks(groups, |world| {
                let quiet = Bar::new(0, false);
                let mut farm = Farm::new(world, &Serial, grouping, equal(tasks), None, &quiet);
                let own: Vec<usize> = std::iter::from_fn(|| {
                    farm.serve();
                    farm.next()
                })
                .collect();
                farm.finish();
                own
            });
            let mut all = dealt.concat();
            all.sort_unstable();
            assert_eq!(all, (0..tasks).collect::<Vec<_>>());
        }
    }

    #[test]
    fn idle_ranks_go_when_all_is_done() {
        let grouping = Grouping { ranks: 1, groups: 2 };
        let dealt = crate::comm::threads::on_ranks(4, |world| {
            let quiet = Bar::new(0, false);
            let mut farm = Farm::new(world, &Serial, grouping, equal(5), None, &quiet);
            if world.rank() >= grouping.groups {
                farm.idle();
                return 0;
            }
            let own = std::iter::from_fn(|| farm.next()).count();
            farm.finish();
            own
        });
        assert_eq!((dealt.iter().sum::<usize>(), &dealt[2..]), (5, &[0, 0][..]));
    }

    #[test]
    fn rank_0_hears_what_became_of_every_task() {
        let grouping = Grouping { ranks: 1, groups: 3 };
        let standings = crate::comm::threads::on_ranks(3, |world| {
            let quiet = Bar::new(0, false);
            let mut farm = Farm::new(world, &Serial, grouping, equal(7), None, &quiet);
            while let Some(number) = farm.next() {
                farm.finished(number, 2.0, "done");
            }
            while world.rank() == 0 && !farm.asking.is_empty() {
                farm.serve();
            }
            let standing = farm.tally.standing(0.0);
            farm.finish();
            standing
        });
        assert_eq!(standings[0], "7 of 7 tasks");
    }

    #[test]
    fn news_that_is_cut_short_is_passed_over() {
        let quiet = Bar::new(0, false);
        let grouping = Grouping::of(1, 3, None, None);
        let mut farm = Farm::new(&Serial, &Serial, grouping, equal(3), None, &quiet);
        for length in 0..20 {
            farm.hear(&[0xff; 20][..length]);
        }
        assert_eq!(farm.tally.standing(0.0), "0 of 3 tasks");
    }

    #[test]
    fn one_group_gets_every_task_once() {
        let quiet = Bar::new(0, false);
        let mut farm = Farm::new(&Serial, &Serial, Grouping::of(1, 3, None, None), equal(3), None, &quiet);
        let dealt: Vec<usize> = std::iter::from_fn(|| farm.next()).collect();
        assert_eq!(dealt, [0, 1, 2]);
        farm.finish();
    }
}
