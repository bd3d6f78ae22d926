use crate::comm::{Communicator, Tag};
use crate::report::phrase::count;
use crate::{Error, Result, status, stop};
use std::time::Duration;

/// Deals tasks to groups of ranks as they become free, first to last. Rank 0
/// of the world keeps the list: the leaders of other groups ask it, and it
/// answers between its own steps ([`Farm::serve`]) and at the end. Whichever
/// rank is told to stop, rank 0 tells the leaders, and no task is dealt any more.
pub struct Farm<'a> {
    world: &'a dyn Communicator,
    group: &'a dyn Communicator,
    /// Ranks a group.
    ranks: usize,
    tasks: usize,
    dealt: usize,
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
    /// A list of `tasks` for the groups of `grouping`. Every rank makes one.
    pub fn new(
        world: &'a dyn Communicator,
        group: &'a dyn Communicator,
        grouping: Grouping,
        tasks: usize,
    ) -> Self {
        let asking = (1..grouping.groups).map(|number| number * grouping.ranks).collect();
        let idle = (grouping.groups * grouping.ranks..world.size()).collect();
        Self { world, group, ranks: grouping.ranks, tasks, dealt: 0, asking, idle, stopping: false }
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
            self.world.send(0, Tag::Request, &[u8::from(self.stop_wished())]);
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
                let Some((leader, stopping)) = self.world.try_receive(Tag::Request) else { break };
                self.answer(leader, &stopping);
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

    fn answer(&mut self, leader: usize, stopping: &[u8]) {
        if stopping == [1] {
            self.spread();
        }
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
        if self.dealt == self.tasks || self.stopping {
            return NONE;
        }
        self.dealt += 1;
        self.dealt as u64 - 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::comm::Serial;

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
                let mut farm = Farm::new(world, &Serial, grouping, tasks);
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
            let mut farm = Farm::new(world, &Serial, grouping, 5);
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
    fn one_group_gets_every_task_once() {
        let mut farm = Farm::new(&Serial, &Serial, Grouping::of(1, 3, None, None), 3);
        let dealt: Vec<usize> = std::iter::from_fn(|| farm.next()).collect();
        assert_eq!(dealt, [0, 1, 2]);
        farm.finish();
    }
}
