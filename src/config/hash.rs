//! A short name for what a policy decides.
//!
//! Two processes that show the same hash decide alike; so what goes in is what `decide` and the field
//! actions read, in words rather than indices, with every default filled in, and nothing else: no topic,
//! no description, no limit, no secret. The header `consentry.policy` and `consentry check` show it.

use serde_json::{Value as Json, json};
use sha2::{Digest, Sha256};

use crate::due::settings::DueSettings;
use crate::pipeline::settings::PipelineSettings;
use crate::policy::settings::{
    FieldAction, FieldSettings, GrantsSettings, KeyAction, Place, PolicySettings, RequireSettings,
    RouteSettings, RulesSettings, StampFormat, StampSettings,
};
use crate::wire::signals::{Signals, TcfRule};

/// Hex digits of the hash that are shown.
const SHOWN: usize = 12;

/// The first 12 hex digits of the SHA-256 over the canonical JSON of policy and rules.
pub(super) fn policy_hash(
    policy: &PolicySettings,
    signals: &Signals,
    pipelines: &[PipelineSettings],
    due: Option<&DueSettings>,
) -> String {
    let rules: Vec<Json> = pipelines.iter().map(|pipeline| pipeline_json(policy, &pipeline.rules)).collect();
    let mut canonical = json!({ "policy": policy_json(policy), "pipelines": rules });
    // Whom to ask is decided too, where anybody is told of it.
    if let (Some(due), Some(members)) = (due, canonical.as_object_mut()) {
        members.insert("ask_again".to_owned(), json!([due.ask.before_ms, due.ask.quiet_ms]));
    }
    // Where no string is mapped, the hash is what it was before there were any.
    if let (false, Some(members)) = (signals.is_empty(), canonical.as_object_mut()) {
        members.insert("signals".to_owned(), signals_json(signals));
    }
    short(&canonical)
}

/// What names a mapping of privacy strings; nothing where nothing is mapped.
pub(super) fn signals_hash(signals: &Signals) -> String {
    if signals.is_empty() { String::new() } else { short(&signals_json(signals)) }
}

fn short(canonical: &Json) -> String {
    let mut digits = hex::encode(Sha256::digest(canonical.to_string()));
    digits.truncate(SHOWN);
    digits
}

fn signals_json(signals: &Signals) -> Json {
    let tcf = |rule: &TcfRule| json!([rule.vendor, rule.recipient, rule.grants, rule.purposes]);
    let gpp = signals.gpp.as_ref().map(|gpp| {
        let sections = gpp.sections.iter().map(|rule| {
            let opt_outs = rule.opt_outs.iter().map(|(of, refused)| json!([of.name(), refused]));
            json!([rule.section.name, opt_outs.collect::<Vec<_>>()])
        });
        json!([gpp.tcf.as_ref().map(tcf), sections.collect::<Vec<_>>()])
    });
    json!({ "tcf": signals.tcf.as_ref().map(tcf), "gpp": gpp, "honour_gpc": signals.honour_gpc })
}

fn policy_json(policy: &PolicySettings) -> Json {
    let purposes: Vec<Json> = policy
        .purposes
        .iter()
        .map(|purpose| {
            let level = level(policy, Some(purpose.level));
            json!([purpose.name, purpose.max_age_ms, purpose.double, level])
        })
        .collect();
    let windows: Vec<Json> = policy
        .windows
        .iter()
        .map(|(channel, window)| json!([channel, window.days, window.from, window.to]))
        .collect();
    json!({
        "levels": policy.levels,
        "purposes": purposes,
        "windows": windows,
        "assume_time_zones": policy.assume_time_zones,
        "honour_gpc": policy.honour_gpc,
        "clock_skew_ms": policy.clock_skew_ms,
    })
}

fn pipeline_json(policy: &PolicySettings, rules: &RulesSettings) -> Json {
    let subject: Vec<Json> =
        rules.subject.iter().map(|selector| json!([selector.kind, place(&selector.place)])).collect();
    let fields: Vec<Json> = rules.fields.iter().map(|field| field_json(policy, field)).collect();
    let routes: Vec<Json> = rules.routes.iter().map(|route| route_json(policy, route)).collect();
    let mut json = json!({
        "name": rules.name,
        "subject": subject,
        "match_all": rules.match_all,
        "occurred_at": rules.occurred_at.as_ref().map(place),
        "fields": fields,
        "remove_unlabelled": rules.remove_unlabelled,
        "routes": routes,
    });
    // Only where it is: a policy that has no use for it keeps its name.
    if let (Some(path), Some(object)) = (&rules.elements, json.as_object_mut()) {
        object.insert("elements".to_owned(), json!(path));
    }
    json
}

fn field_json(policy: &PolicySettings, field: &FieldSettings) -> Json {
    let action = match field.action {
        FieldAction::Remove => json!("remove"),
        FieldAction::Null => json!("null"),
        FieldAction::Mask => json!("mask"),
        FieldAction::Hash => json!("hash"),
        FieldAction::Truncate(count) => json!(["truncate", count]),
        FieldAction::Floor(step) => json!(["generalize", step]),
        FieldAction::Day => json!(["generalize", "day"]),
        FieldAction::Month => json!(["generalize", "month"]),
        FieldAction::Year => json!(["generalize", "year"]),
        FieldAction::Ip => json!(["generalize", "ip"]),
    };
    let place = match &field.place {
        Place::Path(path) if field.outside => json!(["outside", path]),
        other => place(other),
    };
    json!([place, level(policy, Some(field.level)), action])
}

fn route_json(policy: &PolicySettings, route: &RouteSettings) -> Json {
    let require = match &route.require {
        RequireSettings::Nothing(index) => json!({ "none": level(policy, *index) }),
        RequireSettings::Grants(grants) => grants_json(policy, grants),
    };
    let hold = &route.hold;
    let key = match route.key {
        KeyAction::Keep => "keep",
        KeyAction::Hash => "hash",
        KeyAction::Remove => "remove",
    };
    json!({
        "name": route.name,
        "when": route.when,
        "require": require,
        "hold": [hold.pending, hold.contact_window, hold.unknown],
        "hold_for_ms": hold.hold_for_ms,
        "grace_ms": hold.grace_ms,
        "pass_tombstones": route.pass_tombstones,
        "key": key,
    })
}

fn grants_json(policy: &PolicySettings, grants: &GrantsSettings) -> Json {
    let purpose = |index: &usize| policy.purposes.get(*index).map(|purpose| purpose.name.as_str());
    let mut canonical = json!({
        "purposes": grants.purposes.iter().map(purpose).collect::<Vec<_>>(),
        "all": grants.all,
        "channel": grants.channel,
        "recipient": grants.recipient,
        "legal_basis": grants.legal_basis,
        "both": grants.both,
    });
    // A route without a stamp keeps the name that it had before there were any.
    if let (Some(stamp), Some(members)) = (&grants.stamp, canonical.as_object_mut()) {
        members.insert("stamp".to_owned(), stamp_json(stamp));
    }
    canonical
}

fn stamp_json(stamp: &StampSettings) -> Json {
    let format = match stamp.format {
        StampFormat::Consentry => "consentry",
        StampFormat::Segment => "segment",
        StampFormat::Rudderstack => "rudderstack",
    };
    json!([format, stamp.path, stamp.categories])
}

fn level(policy: &PolicySettings, index: Option<usize>) -> Option<&str> {
    policy.levels.get(index?).map(String::as_str)
}

fn place(place: &Place) -> Json {
    match place {
        Place::Path(path) => json!(["path", path]),
        Place::Header(name) => json!(["header", name]),
        Place::Key => json!(["key"]),
    }
}
