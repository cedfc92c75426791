//! Trainers that are stopped anywhere, in a world whose epochs go on without them.

use proptest::prelude::*;
use soma_types::{Address, ChainId};

use super::*;
use crate::trainer::journal::Placement;

/// A ledger with one owner, and the secrets that their client keeps between commit and reveal.
#[derive(Clone, Debug, Default)]
struct World {
    epoch: u64,
    models: u8,
    /// Container, and the epoch of the commit.
    committed: Option<(u8, u64)>,
    revealed: Vec<u8>,
    lapses: u64,
    /// Keys on this machine, by container, with the weights they belong to.
    keys: Vec<(u8, ContentHash)>,
    containers: u8,
    /// Whether the owner finished all that was due in this epoch.
    attended: bool,
    /// Lapses although they did.
    lapses_attended: u64,
}

const fn container(number: u8) -> ContentHash {
    ContentHash([number; 32])
}

impl World {
    fn boundary(&mut self) {
        // What was committed in N has to be revealed by the end of N + 1.
        if let Some((_, committed)) = self.committed
            && self.epoch > committed
        {
            self.committed = None;
            self.lapses += 1;
            self.lapses_attended += u64::from(self.attended);
        }
        self.epoch += 1;
        self.attended = false;
    }

    fn view(&self, journal: &Journal) -> View {
        let publication = journal
            .publishing
            .as_ref()
            .map_or(Publication::Absent, |publishing| {
                let mine = |number: u8| match publishing.container {
                    Some(noted) => noted == container(number),
                    None => self.keys.contains(&(number, publishing.weights)),
                };
                match self.committed {
                    Some((number, epoch)) if mine(number) => Publication::Committed {
                        container: container(number),
                        reveal_in: Epoch(epoch + 1),
                    },
                    _ if self.revealed.last().is_some_and(|number| mine(*number)) => Publication::Revealed,
                    _ => Publication::Absent,
                }
            });
        View {
            epoch: Epoch(self.epoch),
            model: journal.model.map(|_| Standing {
                is_live: true,
                hits: 0,
                stale_from: None,
                others_reveal: self
                    .committed
                    .filter(|_| publication == Publication::Absent)
                    .map(|(_, epoch)| Epoch(epoch + 1)),
            }),
            publication,
            created: (journal.model.is_none() && journal.creating.is_some() && self.models > 0)
                .then_some(ModelId([self.models; 32])),
        }
    }
}

/// A trainer whose process may end before any of its effects.
struct Process<'a> {
    world: &'a mut World,
    /// What is on its disk.
    journal: &'a mut Journal,
    /// Effects until it is killed.
    left: u32,
}

impl Process<'_> {
    /// Does one thing that cannot be half done, unless the process is dead by then.
    fn effect(&mut self, effect: impl FnOnce(&mut World, &mut Journal)) -> Option<()> {
        self.left = self.left.checked_sub(1)?;
        effect(self.world, self.journal);
        Some(())
    }

    /// Takes a step; none once it is dead.
    fn step(&mut self) -> Option<Step> {
        let view = self.world.view(self.journal);
        let step = next(self.journal, &view);
        let epoch = view.epoch;
        match step {
            Step::Reveal => self.effect(|world, _| {
                if let Some((number, committed)) = world.committed
                    && world.epoch == committed + 1
                {
                    world.committed = None;
                    world.revealed.push(number);
                }
            })?,
            Step::NoteCommit(container) => self.effect(|_, journal| {
                journal.publishing.as_mut().unwrap().container = Some(container);
            })?,
            Step::Settle => self.effect(|_, journal| journal.settle(epoch, 0))?,
            Step::Create => {
                if self.journal.creating.is_none() {
                    self.effect(|_, journal| journal.creating = Some(epoch))?;
                }
                self.effect(|world, _| world.models += 1)?;
                self.effect(|world, journal| journal.model = Some(ModelId([world.models; 32])))?;
            }
            Step::Adopt(model) => self.effect(|_, journal| journal.model = Some(model))?,
            Step::Commit => {
                let weights = self.journal.publishing.as_ref().unwrap().weights;
                self.effect(|_, journal| journal.publishing.as_mut().unwrap().container = None)?;
                self.effect(|world, _| {
                    world.containers += 1;
                    world.keys.push((world.containers, weights));
                })?;
                self.effect(|world, _| {
                    assert!(world.committed.is_none(), "the ledger refuses a second commit");
                    world.committed = Some((world.containers, world.epoch));
                })?;
                self.effect(|world, journal| {
                    journal.publishing.as_mut().unwrap().container = Some(container(world.containers));
                })?;
            }
            Step::Publish => self.effect(|_, journal| {
                let Stage::Ready { weights, why } = journal.stage else {
                    unreachable!("only what is ready is published")
                };
                journal.publish(weights, why, Placement::Corpus);
            })?,
            Step::Begin => self.effect(|_, journal| journal.begin(epoch))?,
            Step::Gather => self.effect(|_, journal| journal.stage = Stage::Training)?,
            Step::Train => self.effect(|_, journal| {
                let candidate = ContentHash([100 + journal.round as u8; 32]);
                journal.stage = Stage::Judging { candidate };
            })?,
            Step::Judge => self.effect(|_, journal| {
                let Stage::Judging { candidate: weights } = journal.stage else {
                    unreachable!("only a candidate is judged")
                };
                journal.stage = Stage::Ready {
                    weights,
                    why: Why::Better,
                };
            })?,
            Step::Wait(until) => assert!(until > epoch, "a wait that is over"),
            Step::Over => panic!("nobody retires the model"),
        }
        Some(step)
    }

    /// Runs until nothing is due; whether it came so far.
    fn run(&mut self) -> bool {
        for _ in 0..100 {
            match self.step() {
                None => return false,
                Some(Step::Wait(_)) => {
                    self.world.attended = true;
                    return true;
                }
                Some(_) => {}
            }
        }
        panic!("it never comes to rest: {:?}", self.journal)
    }
}

fn journal() -> Journal {
    Journal::new(ChainId([1; 32]), Address([2; 32]), None)
}

proptest! {
    /// Stopped anywhere and started at any time: one model, nothing committed twice or left to lapse in an
    /// epoch in which it was started and not killed; and weights that are revealed in the end.
    #[test]
    fn whenever_it_is_stopped_it_goes_on(
        starts in prop::collection::vec((prop::option::weighted(0.7, 0_u32..12), 0_u8..3), 1..40)
    ) {
        let (mut world, mut journal) = (World::default(), journal());
        for (killed_after, boundaries) in starts {
            let mut process = Process {
                world: &mut world,
                journal: &mut journal,
                left: killed_after.unwrap_or(u32::MAX),
            };
            process.run();
            prop_assert!(world.models <= 1, "{} models", world.models);
            // What is on the disk is what another process reads.
            let kept: Journal = serde_json::from_str(&serde_json::to_string(&journal).unwrap()).unwrap();
            prop_assert_eq!(&kept, &journal);
            (0..boundaries).for_each(|_| world.boundary());
        }
        prop_assert_eq!(world.lapses_attended, 0);
        let revealed = world.revealed.len();
        for _ in 0..3 {
            let mut process = Process { world: &mut world, journal: &mut journal, left: u32::MAX };
            prop_assert!(process.run());
            world.boundary();
        }
        prop_assert_eq!(world.models, 1);
        prop_assert!(world.revealed.len() > revealed, "{:?}", world);
        prop_assert_eq!(world.lapses_attended, 0);
    }

    /// Four starts a day, none of them killed: every epoch has a commit, and a reveal from the second on.
    #[test]
    fn starts_within_an_epoch_do_what_is_due_and_nothing_twice(starts in prop::collection::vec(1_usize..5, 3..10)) {
        let (mut world, mut journal) = (World::default(), journal());
        let epochs = starts.len();
        for count in starts {
            for _ in 0..count {
                let mut process = Process { world: &mut world, journal: &mut journal, left: u32::MAX };
                prop_assert!(process.run());
            }
            world.boundary();
        }
        prop_assert_eq!((world.lapses, usize::from(world.containers)), (0, epochs));
        prop_assert_eq!(world.revealed.len(), epochs - 1);
    }
}

#[test]
fn a_commit_by_someone_else_is_waited_for() {
    let mut journal = journal();
    journal.model = Some(ModelId([1; 32]));
    journal.begin(Epoch(4));
    journal.publish(ContentHash([7; 32]), Why::First, Placement::Corpus);
    let mut view = World {
        epoch: 4,
        committed: Some((9, 4)),
        ..World::default()
    }
    .view(&journal);
    assert_eq!(view.model.unwrap().others_reveal, Some(Epoch(5)));
    assert_eq!(
        next(&journal, &view),
        Step::Wait(Epoch(5)),
        "the next round may begin"
    );
    view.model.as_mut().unwrap().is_live = false;
    assert_eq!(next(&journal, &view), Step::Over);
}

#[test]
fn an_embedding_follows_after_a_hundred_wins_or_a_week_with_one() {
    let cadence = Cadence { wins: 100, epochs: 7 };
    let published = Published {
        weights: ContentHash([1; 32]),
        placement: Placement::Corpus,
        placed: Epoch(10),
        hits: 50,
    };
    for (epoch, hits, due) in [
        (10, 50, false),
        (10, 149, false),
        (10, 150, true),
        (16, 51, false),
        (17, 51, true),
        (99, 50, false),
        (9, 49, false),
    ] {
        assert_eq!(
            cadence.is_due(&published, Epoch(epoch), hits),
            due,
            "{epoch} {hits}"
        );
    }
}

#[test]
fn only_what_is_better_is_published_unless_place_or_age_demand_it() {
    let compared = |candidate_nano, before_nano| Comparison {
        candidate_nano,
        before_nano,
    };
    assert_eq!(judge(&compared(9, None), 0.001, false, false), Some(Why::First));
    assert_eq!(
        judge(&compared(998, Some(1_000)), 0.001, true, true),
        Some(Why::Better)
    );
    assert_eq!(judge(&compared(999, Some(1_000)), 0.001, false, false), None);
    assert_eq!(
        judge(&compared(999, Some(1_000)), 0.001, true, true),
        Some(Why::Follow)
    );
    assert_eq!(
        judge(&compared(1_001, Some(1_000)), 0.0, false, true),
        Some(Why::Refresh)
    );
    assert_eq!(judge(&compared(1_000, Some(1_000)), 0.0, false, false), None);
}

#[test]
fn weights_are_refreshed_before_they_grow_stale() {
    let standing = |stale_from| Standing {
        is_live: true,
        hits: 0,
        stale_from,
        others_reveal: None,
    };
    assert!(!is_refresh_due(&standing(None), Epoch(90)));
    assert!(!is_refresh_due(&standing(Some(Epoch(14))), Epoch(10)));
    assert!(is_refresh_due(&standing(Some(Epoch(14))), Epoch(11)));
    assert!(is_refresh_due(&standing(Some(Epoch(14))), Epoch(20)));
}
