//! A pipeline's rules, ready to decide with.

use std::sync::Arc;

use super::settings::{
    FieldAction, FieldSettings, GrantsSettings, HoldSettings, KeyAction, Place, PolicySettings,
    RequireSettings, RouteSettings, RulesSettings, SelectorSettings, StampFormat,
};
use super::when::{When, WhenError};
use super::window::{Window, zone};
use crate::consent::{Basis, Category, Hold, Purpose, Requirement, Terms, fold};
use crate::record::path::{Path, PathError};
use crate::record::tree::Tree;
use thiserror::Error;

/// How a pipeline reads its records and what its routes require.
#[derive(Debug)]
pub struct Rules {
    /// The pipeline's name.
    pub name: String,
    /// How a record names its subjects, the first first.
    pub selectors: Vec<Selector>,
    /// Where a record is about several people: the slot of the array that holds them, which the tree marks.
    pub elements: Option<usize>,
    /// Where the event's own time stands.
    pub occurred_at: Option<From>,
    /// Every path that is read or labelled.
    pub tree: Tree,
    /// How many slots the tree reads into.
    pub slots: usize,
    /// Labelled fields, in the order of the configuration.
    pub labels: Vec<Label>,
    /// Whether each leaf under no label is removed.
    pub remove_unlabelled: bool,
    /// What the policy says to every route.
    pub terms: Terms,
    /// The ways out.
    pub routes: Vec<Route>,
    /// The policy's levels, least intimate first.
    pub levels: Arc<[String]>,
    /// The key of every `hash`.
    pub pseudonym_key: Option<Vec<u8>>,
}

/// One way a record names a subject.
#[derive(Debug)]
pub struct Selector {
    /// The identity's type.
    pub kind: String,
    /// Where its value stands.
    pub from: From,
}

/// Where something is read.
#[derive(Debug)]
pub enum From {
    /// In the value, by the tree's slot.
    Slot(usize),
    /// In a header.
    Header(String),
    /// The record's key.
    Key,
}

/// A labelled field.
#[derive(Debug)]
pub struct Label {
    /// As written in the configuration; `header:NAME` for a header, `outside:/PATH` for what is beside the
    /// elements.
    pub written: String,
    /// The header, or `None` for a path in the tree.
    pub header: Option<String>,
    /// Where the permitted level is below this, the action is carried out.
    pub level: u8,
    /// What is done.
    pub action: FieldAction,
}

/// One way out.
#[derive(Debug)]
pub struct Route {
    /// Its name.
    pub name: String,
    /// Which records concern it.
    pub when: Option<When>,
    /// What it requires.
    pub needs: Needs,
    /// Where the event itself must carry consent.
    pub stamp: Option<StampPlace>,
    /// Whether deletions pass without being asked about.
    pub pass_tombstones: bool,
    /// What becomes of the key.
    pub key: KeyAction,
}

/// Where consent is stamped into an event.
#[derive(Debug)]
pub struct StampPlace {
    /// The tree's slot.
    pub slot: usize,
    /// How it is written.
    pub format: StampFormat,
}

/// What a route requires.
#[derive(Debug)]
pub enum Needs {
    /// No consent; fields above this level are reduced.
    Nothing(Option<u8>),
    /// A permit.
    Consent(Arc<Requirement>),
}

/// Why settings do not compile. The configuration reports each of these with its place; reaching one from
/// checked settings is a defect, and it stops the start.
#[derive(Debug, Error)]
pub enum RulesError {
    /// A path that is no JSON Pointer.
    #[error(transparent)]
    Path(#[from] PathError),
    /// A `when` that does not compile.
    #[error(transparent)]
    When(#[from] WhenError),
    /// A number is beyond what a policy can hold.
    #[error("`{0}` is beyond a bound: 255 levels, 64 purposes a route")]
    Bound(String),
    /// A name that the policy does not have.
    #[error("`{0}` is not in the policy")]
    Unknown(String),
}

impl Rules {
    /// Compiles a pipeline's settings under a policy.
    pub fn compile(policy: &PolicySettings, settings: &RulesSettings) -> Result<Self, RulesError> {
        let array = settings.elements.as_deref().map(Path::parse).transpose()?;
        let mut tree = Tree::default();
        let mut slots = 0;
        let mut read = |path: &Path| {
            let slot = tree.read(path, slots);
            slots = slots.max(slot + 1);
            slot
        };
        let elements = array.as_ref().map(&mut read);
        let mut place = |place: &Place, array: Option<&Path>| -> Result<From, RulesError> {
            Ok(match place {
                Place::Header(name) => From::Header(name.clone()),
                Place::Key => From::Key,
                Place::Path(pointer) => From::Slot(read(&start_from(array, pointer)?)),
            })
        };
        let mut selector = |selector: &SelectorSettings| {
            let from = place(&selector.place, array.as_ref())?;
            Ok(Selector { kind: selector.kind.clone(), from })
        };
        let selectors = settings.subject.iter().map(&mut selector).collect::<Result<_, RulesError>>()?;
        let occurred_at = settings.occurred_at.as_ref().map(|from| place(from, None)).transpose()?;
        let levels: Arc<[String]> = policy.levels.clone().into();
        let mut slot = |pointer: &str| Ok(read(&Path::parse(pointer)?));
        let routes = settings.routes.iter().map(|route| compile_route(policy, route, &levels, &mut slot));
        let routes = routes.collect::<Result<_, RulesError>>()?;
        if let Some(array) = &array {
            tree.mark_elements(array);
        }
        Ok(Self {
            name: settings.name.clone(),
            selectors,
            elements,
            occurred_at,
            labels: compile_labels(&settings.fields, array.as_ref(), &mut tree)?,
            tree,
            slots,
            remove_unlabelled: settings.remove_unlabelled,
            terms: compile_terms(policy, settings)?,
            routes,
            levels,
            pseudonym_key: policy.pseudonym_key.clone(),
        })
    }
}

impl Rules {
    /// The name of the route with this index; empty where there is none.
    pub fn route_name(&self, route: usize) -> &str {
        self.routes.get(route).map_or("", |route| route.name.as_str())
    }

    /// The names of a route's purposes, of those whose bit is set.
    pub fn purposes(&self, route: usize, bits: u64) -> Vec<String> {
        let Some(Needs::Consent(requirement)) = self.routes.get(route).map(|route| &route.needs) else {
            return Vec::new();
        };
        let named = requirement.purposes.iter().enumerate();
        named.filter(|(index, _)| bits & 1 << index != 0).map(|(_, purpose)| purpose.name.clone()).collect()
    }
}

fn compile_terms(policy: &PolicySettings, settings: &RulesSettings) -> Result<Terms, RulesError> {
    let zones = policy.assume_time_zones.iter();
    let zones = zones.map(|name| zone(name).ok_or_else(|| RulesError::Unknown(name.clone())));
    Ok(Terms {
        honour_gpc: policy.honour_gpc,
        clock_skew_ms: policy.clock_skew_ms,
        assume_zones: zones.collect::<Result<_, _>>()?,
        match_all: settings.match_all,
    })
}

/// The path that a pointer means: from the whole value, or from each element of the array.
fn start_from(array: Option<&Path>, pointer: &str) -> Result<Path, PathError> {
    let path = Path::parse(pointer)?;
    array.map_or(Ok(path.clone()), |array| array.each(&path))
}

fn compile_labels(
    fields: &[FieldSettings],
    array: Option<&Path>,
    tree: &mut Tree,
) -> Result<Vec<Label>, RulesError> {
    let label = |(number, field): (usize, &FieldSettings)| {
        let (written, header) = match &field.place {
            Place::Header(name) => (format!("header:{name}"), Some(name.clone())),
            Place::Key => return Err(RulesError::Unknown("key".to_owned())),
            Place::Path(pointer) => {
                tree.label(&start_from(array.filter(|_| !field.outside), pointer)?, number);
                (if field.outside { format!("outside:{pointer}") } else { pointer.clone() }, None)
            }
        };
        Ok(Label { written, header, level: small(field.level, "levels")?, action: field.action })
    };
    fields.iter().enumerate().map(label).collect()
}

fn compile_route(
    policy: &PolicySettings,
    route: &RouteSettings,
    levels: &Arc<[String]>,
    slot: &mut impl FnMut(&str) -> Result<usize, RulesError>,
) -> Result<Route, RulesError> {
    let needs = match &route.require {
        RequireSettings::Nothing(level) => {
            Needs::Nothing(level.map(|level| small(level, "level")).transpose()?)
        }
        RequireSettings::Grants(grants) => {
            Needs::Consent(Arc::new(compile_requirement(policy, grants, &route.hold, levels)?))
        }
    };
    let stamp = match &route.require {
        RequireSettings::Nothing(_) => None,
        RequireSettings::Grants(grants) => grants.stamp.as_ref(),
    };
    let stamp =
        stamp.map(|stamp| Ok::<_, RulesError>(StampPlace { slot: slot(&stamp.path)?, format: stamp.format }));
    Ok(Route {
        name: route.name.clone(),
        stamp: stamp.transpose()?,
        when: route.when.as_deref().map(When::compile).transpose()?,
        needs,
        pass_tombstones: route.pass_tombstones,
        key: route.key,
    })
}

fn compile_requirement(
    policy: &PolicySettings,
    grants: &GrantsSettings,
    hold: &HoldSettings,
    levels: &Arc<[String]>,
) -> Result<Requirement, RulesError> {
    if grants.purposes.len() > 64 {
        return Err(RulesError::Bound("purposes".to_owned()));
    }
    let purposes = grants.purposes.iter().map(|index| {
        let unknown = || RulesError::Unknown(format!("purpose {index}"));
        let purpose = policy.purposes.get(*index).ok_or_else(unknown)?;
        Ok(Purpose {
            name: purpose.name.clone(),
            max_age_ms: purpose.max_age_ms,
            double: purpose.double,
            level: small(purpose.level, "level")?,
        })
    });
    let concerned = grants.channel.as_deref().map(fold);
    let windows: Vec<_> = policy
        .windows
        .iter()
        .filter(|(channel, _)| Some(fold(channel)) == concerned)
        .filter_map(|(_, window)| Window::compile(window))
        .collect();
    Ok(Requirement {
        purposes: purposes.collect::<Result<_, RulesError>>()?,
        all: grants.all,
        channel: grants.channel.clone(),
        recipient: grants.recipient.clone(),
        bases: grants.legal_basis.iter().fold(0, |set, word| set | known_bit(word)),
        both: grants.both,
        hold: Hold {
            pending_ms: hold.pending.then_some(hold.hold_for_ms),
            unknown_ms: hold.unknown.then_some(hold.grace_ms),
            contact_window: hold.contact_window,
        },
        windows: (!windows.is_empty()).then_some(windows),
        levels: Arc::clone(levels),
        stamp: grants
            .stamp
            .as_ref()
            .map(|stamp| stamp.categories.iter().map(|names| categories(names)).collect()),
    })
}

fn categories(names: &[String]) -> Vec<Category> {
    names.iter().map(|name| Category::new(name)).collect()
}

/// The bit of a basis that is known; a word that is not known counts for nothing.
fn known_bit(word: &str) -> u8 {
    match Basis::read(word) {
        Basis::Other => 0,
        basis => basis.bit(),
    }
}

fn small(index: usize, what: &str) -> Result<u8, RulesError> {
    u8::try_from(index).map_err(|_| RulesError::Bound(what.to_owned()))
}
