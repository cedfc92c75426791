//! Three who trust nobody make one key, and whoever does otherwise is named.

use rand::{SeedableRng as _, rngs::StdRng};
use soma_types::Address;

use super::*;
use crate::Secrets;

fn entered(secrets: &Secrets) -> Entry {
    Entry {
        identity: secrets.public(),
        dealing: secrets.dealing.as_ref().unwrap().public(),
        account: Address([7; 32]),
        address: "10.0.0.1:26600".parse().unwrap(),
        commission: soma_types::transaction::BasisPoints::default(),
    }
}

#[test]
fn all_find_one_key_and_each_has_a_share_of_it() {
    let mut rng = StdRng::seed_from_u64(5);
    let members: Vec<Secrets> = (0..3).map(|_| Secrets::generate(&mut rng)).collect();
    let mut entries: Vec<Entry> = members.iter().map(entered).collect();
    let chain = ChainId([3; 32]);
    let ceremony = Ceremony::new(&chain, &entries).unwrap();
    let deal = |member: &Secrets, rng: &mut StdRng| {
        let key = member.dealing.as_ref().unwrap();
        (
            public_key(&member.public()),
            ceremony.deal(&member.public(), key, rng).unwrap(),
        )
    };
    let mut dealings: BTreeMap<_, _> = members.iter().map(|member| deal(member, &mut rng)).collect();

    // Whoever sees the dealings finds the same key, in whatever order the entries lie.
    entries.reverse();
    let committee = ceremony.committee(&dealings, &mut rng).unwrap();
    let again = Ceremony::new(&chain, &entries).unwrap();
    assert_eq!(again.committee(&dealings, &mut rng).unwrap(), committee);
    for member in &members {
        let key = member.dealing.as_ref().unwrap();
        let (found, share) = ceremony
            .share(&dealings, &member.public(), key, &mut rng)
            .unwrap();
        assert_eq!(found, committee);
        assert!(committee.holds(&member.public(), &share));
        // It signs as the consensus has it.
        let _ = committee.signer(&chain, share);
    }

    // Who is missing is named, and who dealt for another chain, or says so of another's dealing.
    let (first, second) = (public_key(&members[0].public()), public_key(&members[1].public()));
    let kept = dealings.remove(&first).unwrap();
    assert_eq!(
        ceremony.committee(&dealings, &mut rng).unwrap_err(),
        DealingError::Missing(vec![first])
    );
    let elsewhere = Ceremony::new(&ChainId([4; 32]), &entries).unwrap();
    let key = members[0].dealing.as_ref().unwrap();
    let other = elsewhere.deal(&members[0].public(), key, &mut rng).unwrap();
    for wrong in [
        other,
        dealings[&second].clone(),
        kept[..kept.len() - 2].to_owned(),
    ] {
        dealings.insert(first, wrong);
        assert_eq!(
            ceremony.committee(&dealings, &mut rng).unwrap_err(),
            DealingError::Wrong(first)
        );
    }
    let stranger = Secrets::generate(&mut rng);
    let key = stranger.dealing.as_ref().unwrap();
    assert!(matches!(
        ceremony.deal(&stranger.public(), key, &mut rng),
        Err(DealingError::Stranger(_))
    ));
    entries.push(entries[0].clone());
    assert!(matches!(
        Ceremony::new(&chain, &entries),
        Err(DealingError::Twice(_))
    ));
    // Keys that were not made for each other stand in two orders.
    entries.pop();
    let (mut one, mut other) = (entries[0].dealing.clone(), entries[1].dealing.clone());
    std::mem::swap(&mut one, &mut other);
    (entries[0].dealing, entries[1].dealing) = (one, other);
    assert!(matches!(
        Ceremony::new(&chain, &entries),
        Err(DealingError::Order(..))
    ));
}
