//! Filled targets, the latest win first, across epochs: what won, for those who learn from it.

use axum::http::StatusCode;
use soma_http::Error;
use soma_ledger::view;
use soma_types::{
    Epoch,
    api::{Page, TargetView},
    objects::EpochState,
};

use super::looked::{SCANNED_MAX, is_over, target_view};
use crate::query::LiveReader;

/// Winners before this many of an epoch, and all of the epochs before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    epoch: u32,
    end: u32,
}

impl Place {
    const fn of_cursor(cursor: u64) -> Self {
        Self {
            epoch: (cursor >> 32) as u32,
            end: cursor as u32,
        }
    }

    fn cursor(self) -> String {
        (u64::from(self.epoch) << 32 | u64::from(self.end)).to_string()
    }

    /// All of an epoch, and of those before.
    const fn whole(epoch: u32) -> Self {
        Self { epoch, end: u32::MAX }
    }
}

/// A page of `epoch`'s filled targets; of all epochs' where none is given.
pub(super) async fn page(
    reader: &mut LiveReader<'_>,
    current: &EpochState,
    epoch: Option<Epoch>,
    cursor: Option<u64>,
    limit: usize,
) -> Result<Page<TargetView>, Error> {
    let nothing = || Page {
        items: Vec::new(),
        next: None,
    };
    let Ok(first) = u32::try_from(epoch.unwrap_or(current.epoch).0) else {
        return Ok(nothing());
    };
    let mut place = cursor.map_or(Place::whole(first), Place::of_cursor);
    if epoch.is_some() && place.epoch != first {
        let detail = format!(
            "epoch {first} has no page at the cursor {}: give a page's `next` of that epoch, or none",
            cursor.unwrap_or_default()
        );
        return Err(Error::new(StatusCode::NOT_FOUND, detail));
    }
    let (mut items, mut looked) = (Vec::new(), 0);
    let more = |items: &Vec<_>, looked| items.len() < limit && looked < SCANNED_MAX;
    while more(&items, looked) {
        if is_over(reader, looked).await {
            break;
        }
        let at = Epoch(u64::from(place.epoch));
        let hits = if at == current.epoch {
            current.hits
        } else {
            let record = reader.read(|state| view::epoch_record(state, at)).await?;
            record.map_or(0, |record| record.state.hits)
        };
        place.end = place.end.min(u32::try_from(hits).unwrap_or(u32::MAX));
        // An epoch without hits is looked at, too.
        looked += 1;
        while place.end > 0 && more(&items, looked) {
            if is_over(reader, looked).await {
                let next = Some(place.cursor());
                return Ok(Page { items, next });
            }
            place.end -= 1;
            looked += 1;
            let index = u64::from(place.end);
            let found = reader.read(|state| {
                let winner = match view::winner_at(state, at, index)? {
                    Some(id) => view::submission(state, id)?,
                    None => None,
                };
                let target = match winner {
                    Some(winner) => view::target(state, winner.target)?,
                    None => None,
                };
                match target {
                    Some(target) => target_view(state, target, current.epoch),
                    None => Ok(None),
                }
            });
            items.extend(found.await?);
        }
        if place.end > 0 {
            break;
        }
        if epoch.is_some() || place.epoch == 0 {
            return Ok(Page { items, next: None });
        }
        place = Place::whole(place.epoch - 1);
    }
    Ok(Page {
        items,
        next: Some(place.cursor()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursors_come_back_as_they_went() {
        for place in [
            Place { epoch: 0, end: 1 },
            Place { epoch: 7, end: 0 },
            Place::whole(u32::MAX),
        ] {
            let cursor = place.cursor().parse().unwrap();
            assert_eq!(Place::of_cursor(cursor), place);
        }
    }
}
