//! What a change leaves behind.

use super::*;

const NOW: Timestamp = Timestamp(1_800_000_000_000);
const THEN: &str = "2020-01-01T00:00:00Z";

fn record(grants: Value) -> Record {
    Record(
        json!({"subject": {"type": "u", "value": "a"}, "loyalty": {"tier": 3}, "grants": grants})
            .as_object()
            .unwrap()
            .clone(),
    )
}

fn grants(record: &Record) -> Value {
    assert_eq!(record.0["loyalty"], json!({"tier": 3}), "what is not known is kept");
    record.0["grants"].clone()
}

fn withdrawn(before: Value, purpose: &str, channel: &str) -> Value {
    let mut record = record(before);
    withdraw(
        &mut record,
        &Scope { purpose: purpose.into(), channel: channel.into(), recipient: String::new() },
    );
    let after = grants(&record);
    withdraw(
        &mut record,
        &Scope { purpose: purpose.into(), channel: channel.into(), recipient: String::new() },
    );
    assert_eq!(after, grants(&record), "a second time changes nothing");
    after
}

fn grant(purpose: &str, channel: &str, status: Status) -> Grant {
    Grant {
        purpose: purpose.into(),
        channel: channel.into(),
        recipient: String::new(),
        status,
        basis: Basis::Consent,
        valid_until: None,
        more: Vec::new(),
    }
}

fn set_in(before: Value, grant: &Grant) -> Result<Value, Stands> {
    let mut record = record(before);
    set(&mut record, grant, NOW)?;
    Ok(grants(&record))
}

#[test]
fn one_purpose_is_withdrawn_and_the_others_stay() {
    let before = json!([
        {"purpose": "news", "channel": "email", "status": "given", "given_at": THEN, "mark": "x"},
        {"purpose": "ads", "status": "given"},
    ]);
    let after = withdrawn(before.clone(), "news", "email");
    assert_eq!(
        after[0],
        json!({"purpose": "news", "channel": "email", "status": "withdrawn", "given_at": THEN, "mark": "x"})
    );
    assert_eq!((after[1]["status"].as_str(), after.as_array().unwrap().len()), (Some("given"), 2));
    let after = withdrawn(before, "news", "");
    assert_eq!(after[2], json!({"purpose": "news", "status": "withdrawn"}), "every channel");
    let nothing = withdrawn(json!([]), "news", "sms");
    assert_eq!(nothing, json!([{"purpose": "news", "channel": "sms", "status": "withdrawn"}]));
    let hard = withdrawn(json!([{"purpose": "*", "status": "withdrawn"}]), "news", "");
    assert_eq!(hard.as_array().unwrap().len(), 2, "a contract about it ends too");
}

#[test]
fn a_withdrawal_of_everything_ends_no_contract() {
    let after = withdrawn(
        json!([
            {"purpose": "news", "status": "confirmed"},
            {"purpose": "order", "basis": "contract", "status": "given"},
            {"purpose": "order", "basis": "consent", "status": "given"},
            {"purpose": "asked", "status": "requested"},
            {"purpose": "old", "status": "objected"},
        ]),
        "",
        "",
    );
    assert_eq!(
        after,
        json!([
            {"purpose": "news", "status": "withdrawn"},
            {"purpose": "order", "basis": "contract", "status": "given"},
            {"purpose": "asked", "status": "withdrawn"},
            {"purpose": "old", "status": "objected"},
            {"purpose": "*", "status": "withdrawn"},
        ])
    );
}

#[test]
fn a_renewal_keeps_the_first_opt_in_and_a_new_one_has_its_own() {
    let given =
        |status: &str| json!([{"purpose": "news", "status": status, "given_at": THEN, "valid_until": THEN}]);
    let now = NOW.to_string();
    let renewed = set_in(given("given"), &grant("news", "", Status::Confirmed)).unwrap();
    assert_eq!(
        renewed,
        json!([{"purpose": "news", "status": "confirmed", "given_at": THEN, "valid_until": THEN, "confirmed_at": now}])
    );
    for status in ["withdrawn", "refused", "requested", "revoked"] {
        let anew = set_in(given(status), &grant("news", "", Status::Given)).unwrap();
        assert_eq!(anew, json!([{"purpose": "news", "status": "given", "given_at": now}]), "{status}");
    }
    let first = set_in(
        json!([]),
        &Grant { more: vec![("level", "contact".into())], ..grant("news", "", Status::Confirmed) },
    );
    assert_eq!(
        first.unwrap(),
        json!([{"purpose": "news", "status": "confirmed", "given_at": now, "confirmed_at": now, "level": "contact"}])
    );
}

#[test]
fn the_way_back_brings_back_one_thing_alone() {
    let before = json!([
        {"purpose": "news", "channel": "email", "status": "withdrawn"},
        {"purpose": "ads", "status": "given"},
        {"purpose": "order", "basis": "contract", "status": "given"},
        {"purpose": "*", "status": "withdrawn"},
    ]);
    let after = set_in(before, &grant("news", "email", Status::Given)).unwrap();
    assert_eq!(
        after,
        json!([
            {"purpose": "ads", "status": "withdrawn"},
            {"purpose": "order", "basis": "contract", "status": "given"},
            {"purpose": "news", "channel": "email", "status": "given", "given_at": NOW.to_string()},
        ])
    );
    let narrow = json!([{"purpose": "ads", "status": "withdrawn"}]);
    let after = set_in(narrow, &grant("*", "", Status::Given)).unwrap();
    assert_eq!(after[0]["status"], "withdrawn", "a refusal of one thing outlives a yes to all");
    let wide = json!([{"purpose": "news", "status": "refused"}, {"purpose": "news", "channel": "*", "status": "given"}]);
    let after = set_in(wide, &grant("news", "sms", Status::Given)).unwrap();
    assert_eq!(
        after,
        json!([{"purpose": "news", "channel": "sms", "status": "given", "given_at": NOW.to_string()}])
    );
}

#[test]
fn what_an_opt_in_cannot_end_is_said() {
    for before in [
        json!([{"purpose": "*", "status": "objected"}]),
        json!([{"purpose": "news", "status": "revoked"}]),
        json!([{"purpose": "news", "status": "withdrawn"}, {"purpose": "*", "channel": "*", "status": "given"}]),
    ] {
        let refused = set_in(before.clone(), &grant("news", "email", Status::Given));
        assert!(refused.is_err(), "{before}");
        assert!(set_in(before, &grant("news", "email", Status::Refused)).is_ok(), "a no always can be said");
    }
    let contract = Grant { basis: Basis::Contract, ..grant("order", "", Status::Given) };
    let after = set_in(json!([{"purpose": "*", "status": "withdrawn"}]), &contract).unwrap();
    assert_eq!(after.as_array().unwrap().len(), 2, "a contract stands beside a general withdrawal");
}

#[test]
fn a_full_record_can_be_withdrawn_from() {
    let mut full = record(json!([
        {"purpose": "order", "basis": "contract", "status": "given"},
        {"purpose": "other", "basis": "contract", "status": "given"},
        {"purpose": "other", "status": "objected"},
    ]));
    make_room(&mut full, 3);
    assert_eq!(
        grants(&full),
        json!([{"purpose": "order", "basis": "contract", "status": "given"}, {"purpose": "*", "status": "withdrawn"}])
    );
}
