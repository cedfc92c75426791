//! What is wrong now: links, disks, and who does not run.

use crate::{
    disk::{Condition, Full, OutOfDescriptors},
    fault::Kind,
    world::{Reading, World},
};

impl World<'_> {
    /// Whether a fault keeps a validator from running.
    pub(super) fn is_down(&self, seat: usize, now_ms: u64) -> bool {
        if self.reading.is_some() {
            return self.scenario.byzantine().contains(&seat);
        }
        self.scenario.at(now_ms).any(|kind| match kind {
            Kind::Crash { validator } | Kind::Silent { validator } => *validator == seat,
            Kind::Outage => true,
            _ => false,
        })
    }

    pub(super) fn update_disk(&mut self, seat: usize, now_ms: u64) {
        let mut condition = Condition::default();
        for (place, fault) in self.scenario.faults.iter().enumerate() {
            let is_there = fault.is_there(now_ms) && self.reading.is_none();
            match &fault.kind {
                Kind::Torn {
                    validator,
                    operations,
                } if *validator == seat => {
                    for one in &self.seats[seat].running {
                        if !is_there {
                            one.disk.keep_whole();
                        } else if self.begun.insert(place) {
                            one.disk.tear_after(*operations);
                        }
                    }
                }
                Kind::FailingDisk { validator, permille } if *validator == seat && is_there => {
                    condition.failing_permille = condition.failing_permille.max(*permille);
                }
                Kind::FullDisk { validator } if *validator == seat && is_there => condition.full = Some(Full),
                Kind::NoDescriptors { validator } if *validator == seat && is_there => {
                    condition.out_of_descriptors = Some(OutOfDescriptors);
                }
                Kind::SlowDisk { validator, delay_ms } if *validator == seat && is_there => {
                    condition.delay_ms = condition.delay_ms.max(*delay_ms);
                }
                _ => {}
            }
        }
        self.seats[seat]
            .running
            .iter()
            .for_each(|one| one.disk.set(condition));
    }

    pub(super) async fn update_links(&mut self, now_ms: u64) {
        let names = self.committee.identities();
        for from in 0..names.len() {
            for to in (0..names.len()).filter(|to| *to != from) {
                let link = match self.reading {
                    Some(Reading) => None,
                    None => self.scenario.link(from, to, now_ms),
                };
                let wanted = link
                    .as_ref()
                    .map(|link| (link.latency, link.jitter, format!("{:?}", link.success_rate)));
                if self.links.get(&(from, to)) == wanted.as_ref() {
                    continue;
                }
                if self.links.remove(&(from, to)).is_some() {
                    let removed = self
                        .oracle
                        .remove_link(names[from].clone(), names[to].clone())
                        .await;
                    removed.expect("the link was there");
                }
                if let (Some(link), Some(wanted)) = (link, wanted) {
                    let added = self
                        .oracle
                        .add_link(names[from].clone(), names[to].clone(), link)
                        .await;
                    added.expect("no link was there");
                    self.links.insert((from, to), wanted);
                }
            }
        }
    }
}
