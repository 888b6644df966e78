use smallvec::smallvec;

use super::*;

const fn id(offset: i64) -> Id {
    Id { place: 0, offset, route: 0 }
}

fn waiting(subject: u8, until: i64) -> Waiting<u8> {
    Waiting {
        subjects: smallvec![subject],
        key: subject.into(),
        reason: Reason::Unconfirmed,
        until: Timestamp(until),
        deadlines: Deadlines::default(),
        held_at: Timestamp(0),
        body: Arc::from(&b"12345"[..]),
    }
}

/// Holds these offsets of subject 1, committed.
fn holding(offsets: &[i64]) -> Holding<u8> {
    let mut holding = Holding::default();
    for offset in offsets {
        assert_eq!(holding.add(id(*offset), waiting(1, 50)), None);
    }
    holding.committed(|_| {});
    holding
}

fn due(holding: &Holding<u8>) -> Vec<i64> {
    holding.due(99).into_iter().map(|id| id.offset).collect()
}

/// Every index says the same as the entries do.
fn agrees(holding: &Holding<u8>) {
    let live = || holding.entries.iter().filter(|(_, entry)| !entry.is_gone);
    let subjects = |(id, entry): (&Id, &Entry<u8>)| -> Vec<(u8, Id)> {
        entry.waiting.subjects.iter().map(|subject| (*subject, *id)).collect()
    };
    assert_eq!(holding.by_subject, live().flat_map(subjects).collect());
    let due = |id: &Id| holding.due.contains(id);
    let times = || live().map(|(id, entry)| (entry.waiting.until, *id));
    assert!(times().all(|(until, id)| holding.by_time.contains(&(until, id)) || due(&id)));
    assert!(holding.by_time.iter().all(|one| times().any(|other| other == *one)));
    assert!(holding.due.iter().all(|id| live().any(|(own, _)| own == id)));
    assert_eq!(holding.by_age.len(), holding.entries.len());
    assert_eq!(holding.by_key.len(), holding.entries.len());
    assert_eq!(holding.standing(0).0, holding.entries.len());
    let bytes = holding.entries.values().map(|entry| entry.waiting.body.len() + ENTRY_BYTES);
    assert_eq!(holding.bytes(), bytes.sum::<usize>());
}

#[test]
fn a_subject_wakes_its_own_in_the_order_they_came() {
    let mut holding = holding(&[9, 3]);
    holding.add(id(5), waiting(2, 50));
    assert!(!holding.is_due());
    holding.wake(1);
    assert_eq!(due(&holding), [3, 9]);
    assert_eq!(holding.due(1), [id(3)]);
    holding.wake_all();
    assert_eq!(due(&holding), [3, 5, 9]);
    agrees(&holding);
}

#[test]
fn a_key_finds_what_waits_of_its_place_and_route() {
    let mut holding = holding(&[9, 3]);
    holding.add(id(5), waiting(2, 50));
    holding.add(Id { place: 1, ..id(1) }, waiting(1, 50));
    holding.add(Id { route: 1, ..id(1) }, waiting(1, 50));
    assert_eq!(holding.of_key(1, 0, 0), [id(3), id(9)]);
    holding.leave(id(3));
    assert_eq!(holding.of_key(1, 0, 0), [id(9)], "what is gone is not found");
    holding.undone(|_| {});
    assert_eq!((holding.of_key(1, 0, 0).len(), holding.of_key(3, 0, 0).len()), (2, 0));
    agrees(&holding);
}

#[test]
fn time_wakes_what_is_to_be_looked_at_by_then() {
    let mut holding = holding(&[3]);
    holding.add(id(4), waiting(1, 60));
    holding.tick(Timestamp(49));
    assert!(!holding.is_due());
    holding.tick(Timestamp(50));
    assert_eq!(due(&holding), [3]);
    holding.stay(id(3), waiting(1, 55));
    assert!(!holding.is_due());
    holding.tick(Timestamp(60));
    assert_eq!(due(&holding), [3, 4]);
    agrees(&holding);
}

#[test]
fn what_is_undone_is_as_it_was_and_due() {
    let mut holding = holding(&[3, 4]);
    holding.wake(1);
    holding.leave(id(3));
    holding.stay(id(4), Waiting { body: Arc::from(&b"1"[..]), ..waiting(1, 70) });
    holding.add(id(5), waiting(2, 50));
    agrees(&holding);
    assert!(!holding.is_due() && holding.get(id(3)).is_none());
    let mut forgotten = Vec::new();
    holding.undone(|subject| forgotten.push(subject));
    assert_eq!((due(&holding), forgotten), (vec![3, 4], vec![2]));
    assert_eq!(holding.get(id(4)), Some(&waiting(1, 50)));
    assert!(holding.get(id(5)).is_none());
    agrees(&holding);
}

#[test]
fn what_waits_on_with_nothing_written_leaves_nothing_to_undo() {
    let mut holding = holding(&[3]);
    holding.wake(1);
    holding.wait_on(id(3), Reason::OutsideContactWindow, Timestamp(90));
    assert!(!holding.is_due() && holding.journal.is_empty());
    holding.undone(|_| panic!("nothing is begun"));
    let stands = Waiting { reason: Reason::OutsideContactWindow, ..waiting(1, 90) };
    assert_eq!(holding.get(id(3)), Some(&stands));
    holding.tick(Timestamp(90));
    assert_eq!(due(&holding), [3]);
    agrees(&holding);
}

#[test]
fn what_is_held_again_says_whom_it_replaces() {
    let mut holding = holding(&[3]);
    assert_eq!(holding.add(id(3), waiting(2, 60)), Some(waiting(1, 50)));
    assert_eq!(holding.standing(0).0, 1);
    agrees(&holding);
}

#[test]
fn what_is_committed_is_gone() {
    let mut holding = holding(&[3, 4]);
    holding.leave(id(3));
    holding.wake_all();
    assert_eq!(due(&holding), [4], "what is gone is not due");
    let mut forgotten = Vec::new();
    holding.committed(|subject| forgotten.push(subject));
    holding.undone(|_| panic!("nothing is begun"));
    assert_eq!((forgotten, holding.standing(0)), (vec![1], (1, Some(Timestamp(0)))));
    agrees(&holding);
}

#[test]
fn a_record_may_be_held_and_leave_in_one_transaction() {
    let mut holding = Holding::default();
    holding.add(id(3), waiting(1, 50));
    holding.wake(1);
    holding.leave(id(3));
    let mut forgotten = 0;
    holding.undone(|_| forgotten += 1);
    assert!(holding.is_empty() && !holding.is_due());
    holding.add(id(3), waiting(1, 50));
    holding.leave(id(3));
    holding.committed(|_| forgotten += 1);
    assert!(holding.is_empty());
    assert_eq!(forgotten, 2);
    agrees(&holding);
}

#[test]
fn what_is_loaded_is_due_and_named_later() {
    let mut holding = Holding::default();
    let unnamed = |until| Waiting { subjects: smallvec![], ..waiting(1, until) };
    holding.load(id(3), unnamed(50));
    holding.load(id(3), unnamed(60));
    holding.load(id(4), unnamed(60));
    holding.unload(id(4));
    assert_eq!((due(&holding), holding.standing(0).0), (vec![3], 1));
    holding.name(id(3), &[7, 8]);
    holding.stay(id(3), unnamed(70));
    assert!(!holding.is_due());
    holding.wake(8);
    assert_eq!(due(&holding), [3]);
    let mut forgotten = Vec::new();
    holding.undone(|_| {});
    holding.drop_place(0, |subject| forgotten.push(subject));
    assert_eq!((holding.is_empty(), forgotten, holding.bytes()), (true, vec![7, 8], 0));
    agrees(&holding);
}

/// Whatever is done in whatever order, the indices agree, and what is undone is as it was.
#[test]
fn any_order_of_steps_keeps_the_indices_in_step() {
    for seed in 0..300_u64 {
        let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let mut dice = |sides: u64| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state % sides
        };
        let (mut holding, mut next) = (Holding::default(), 0_i64);
        let mut kept = Vec::new();
        for _ in 0..200 {
            let any = id(dice(next.max(1).cast_unsigned()).cast_signed());
            let subject = u8::try_from(dice(4)).unwrap();
            match dice(9) {
                0 | 1 => {
                    holding.add(id(next), waiting(subject, 40 + next));
                    next += 1;
                }
                2 => holding.wake(subject),
                3 => holding.tick(Timestamp(40 + any.offset)),
                4 if holding.get(any).is_some() => holding.leave(any),
                5 if holding.get(any).is_some() => holding.stay(any, waiting(subject, 45 + next)),
                6 => {
                    holding.committed(|_| {});
                    kept = holding.entries.iter().map(|(id, entry)| (*id, entry.waiting.clone())).collect();
                }
                7 => {
                    holding.undone(|_| {});
                    let now: Vec<_> =
                        holding.entries.iter().map(|(id, entry)| (*id, entry.waiting.clone())).collect();
                    assert_eq!(now, kept, "seed {seed}");
                }
                // Of what is as it was committed: that is not undone.
                8 => {
                    let is_begun = |step: &Step<u8>| matches!(step, Step::Stayed(own, _) if *own == any);
                    let own = kept.iter_mut().find(|(own, _)| *own == any);
                    if let Some((_, own)) = own.filter(|_| holding.get(any).is_some())
                        && !holding.journal.iter().any(is_begun)
                    {
                        own.until = Timestamp(45 + next);
                        holding.wait_on(any, own.reason, own.until);
                    }
                }
                _ => {}
            }
            agrees(&holding);
        }
    }
}
