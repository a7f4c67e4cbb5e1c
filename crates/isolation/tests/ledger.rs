//! Every reachable state of two replicas, two tenants and two controllers over the ledger's
//! arithmetic, with replicas that die, answers that are lost, and requests that come late.
//!
//! What is played here around the real functions: the store, the watches that lag behind it, the
//! writes on condition, and the requests that were admitted and have not been carried out yet.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test says by panicking that it fails"
)]

use std::collections::{BTreeMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher as _};

use bulkhead_isolation::ledger::account::{Account, Counted};
use bulkhead_isolation::ledger::book::{Book, Charge};
use bulkhead_model::quantity::{Amount, Amounts};
use stateright::{Checker as _, Model, Property};

const TENANTS: usize = 2;
const REPLICAS: usize = 2;
const PODS: &str = "pods";

/// What is done wrong, to see that it is found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Bug {
    None,
    /// A lease is given up as soon as its objects exist, whatever has been counted.
    ForgetsBeforeCounted,
    /// A dead replica's lease is taken back while what it admitted may still come about.
    BuriesTooEarly,
    /// A dead replica's lease is taken back without a recount.
    BuriesWithoutRecount,
    /// A replica goes on charging an old lease while a smaller one is being written.
    ChargesWhileSettling,
    /// Accounts are written without condition.
    WritesBlindly,
}

struct Ledger {
    /// Limit of each tenant.
    limits: [u64; TENANTS],
    /// How many objects clients ask for, how often replicas die, how often each writes.
    requests: u8,
    deaths: u8,
    settles: u8,
    /// How often controllers write the limit.
    limits_written: u8,
    /// Whether writes may be carried out after their replica has given up on them.
    late: bool,
    /// How many tenants ask.
    asking: usize,
    bug: Bug,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct State {
    /// Every object ever made: tenant, name, since when, until when.
    objects: Vec<(usize, u8, u64, Option<u64>)>,
    now: u64,
    accounts: Vec<(u64, Account)>,
    replicas: Vec<Replica>,
    /// Admitted, and neither carried out nor failed: tenant, name, who admitted.
    flying: Vec<(usize, u8, String)>,
    asked: u8,
    deaths: u8,
    /// Limits that controllers are about to write: what they read, and what they make of it.
    controllers: Vec<Option<(usize, u64, Account)>>,
    written: u8,
    /// Writes whose replica has died, or has given up waiting for the answer.
    late: Vec<(usize, u64, Account)>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Replica {
    /// Dies and comes back under another name.
    life: u8,
    settles: u8,
    /// Up to where its watch has come.
    seen: u64,
    books: Vec<Book>,
    /// The write that is under way: tenant, version that it is for, account.
    writing: Option<(usize, u64, Account)>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Step {
    Ask(usize, usize, u8),
    CarryOut(usize),
    Fail(usize),
    Delete(usize),
    Watch(usize),
    Settle(usize, usize, u8),
    Write(usize),
    GiveUp(usize),
    WriteLate(usize),
    Resolve(usize, usize, u8),
    Die(usize),
    Bury(usize, usize, String),
    Read(usize, usize),
    Limit(usize),
}

impl Ledger {
    fn name(&self, replica: usize, life: u8) -> String {
        format!("r{replica}.{life}")
    }

    /// What a watch at a point knows to exist.
    fn count(state: &State, tenant: usize, at: u64) -> BTreeMap<String, Counted> {
        let alive = state
            .objects
            .iter()
            .filter(|(t, _, from, to)| *t == tenant && *from <= at && to.is_none_or(|to| to > at));
        let used = Amounts::from([(PODS.to_owned(), Amount::whole(alive.count() as u64))]);
        BTreeMap::from([(PODS.to_owned(), Counted { at, used })])
    }

    /// Marks what a watch at a point has seen.
    fn look(&self, state: &mut State, replica: usize) {
        let at = state.replicas[replica].seen;
        let objects = state.objects.clone();
        for (tenant, name, from, _) in objects.iter().filter(|o| o.2 <= at) {
            state.replicas[replica].books[*tenant].saw(&name.to_string(), *from);
        }
    }
}

impl Model for Ledger {
    type State = State;
    type Action = Step;

    fn init_states(&self) -> Vec<State> {
        let account = |limit: u64| Account {
            hard: Amounts::from([(PODS.to_owned(), Amount::whole(limit))]),
            base: BTreeMap::from([(PODS.to_owned(), Counted::default())]),
            leases: BTreeMap::new(),
        };
        let accounts: Vec<_> = self.limits.iter().map(|l| (0, account(*l))).collect();
        let replica = |index: usize| {
            let mut books = vec![Book::default(); TENANTS];
            for (book, (_, account)) in books.iter_mut().zip(&accounts) {
                book.settled(&self.name(index, 0), account);
            }
            Replica {
                life: 0,
                settles: 0,
                seen: 0,
                books,
                writing: None,
            }
        };
        vec![State {
            objects: vec![],
            now: 0,
            replicas: (0..REPLICAS).map(replica).collect(),
            accounts,
            flying: vec![],
            asked: 0,
            deaths: 0,
            controllers: vec![None; 2],
            written: 0,
            late: vec![],
        }]
    }

    fn actions(&self, state: &State, steps: &mut Vec<Step>) {
        for replica in 0..REPLICAS {
            for tenant in 0..self.asking {
                if state.asked < self.requests {
                    steps.push(Step::Ask(replica, tenant, state.asked));
                }
                let me = &state.replicas[replica];
                if me.writing.is_none() && me.settles < self.settles {
                    steps.push(Step::Settle(replica, tenant, 0));
                    if state.asked < self.requests {
                        steps.push(Step::Settle(replica, tenant, 1));
                    }
                }
                for charge in me.books[tenant].open() {
                    let name: u8 = charge.request.parse().unwrap();
                    // At a time after which nothing of it can come about.
                    if !state.flying.iter().any(|(_, n, _)| *n == name) {
                        steps.push(Step::Resolve(replica, tenant, name));
                    }
                }
                let alive: Vec<String> = (0..REPLICAS)
                    .map(|r| self.name(r, state.replicas[r].life))
                    .collect();
                for dead in state.accounts[tenant].1.leases.keys() {
                    let late = state.flying.iter().any(|(_, _, by)| by == dead);
                    if !alive.contains(dead) && (!late || self.bug == Bug::BuriesTooEarly) {
                        steps.push(Step::Bury(replica, tenant, dead.clone()));
                    }
                }
            }
            if state.replicas[replica].seen < state.now {
                steps.push(Step::Watch(replica));
            }
            if state.replicas[replica].writing.is_some() {
                steps.push(Step::Write(replica));
                if self.late {
                    steps.push(Step::GiveUp(replica));
                }
            }
            if state.deaths < self.deaths {
                steps.push(Step::Die(replica));
            }
        }
        for index in 0..state.late.len() {
            steps.push(Step::WriteLate(index));
        }
        for index in 0..state.flying.len() {
            steps.push(Step::CarryOut(index));
            steps.push(Step::Fail(index));
        }
        for (index, object) in state.objects.iter().enumerate() {
            if object.3.is_none() {
                steps.push(Step::Delete(index));
            }
        }
        for (controller, writing) in state.controllers.iter().enumerate() {
            match writing {
                None if state.written < self.limits_written => {
                    steps.extend((0..self.asking).map(|tenant| Step::Read(controller, tenant)));
                }
                None => {}
                Some(_) => steps.push(Step::Limit(controller)),
            }
        }
    }

    fn next_state(&self, last: &State, step: Step) -> Option<State> {
        let mut state = last.clone();
        match step {
            Step::Ask(replica, tenant, name) => {
                let me = self.name(replica, state.replicas[replica].life);
                let charge = Charge {
                    request: name.to_string(),
                    kind: PODS.to_owned(),
                    key: name.to_string(),
                    amounts: Amounts::from([(PODS.to_owned(), Amount::whole(1))]),
                    creates: true,
                    seen: None,
                };
                state.replicas[replica].books[tenant].charge(charge).ok()?;
                state.flying.push((tenant, name, me));
                state.asked += 1;
            }
            Step::CarryOut(index) => {
                let (tenant, name, _) = state.flying.remove(index);
                state.now += 1;
                state.objects.push((tenant, name, state.now, None));
            }
            Step::Fail(index) => drop(state.flying.remove(index)),
            Step::Delete(index) => {
                state.now += 1;
                state.objects[index].3 = Some(state.now);
            }
            Step::Watch(replica) => {
                state.replicas[replica].seen = state.now;
                self.look(&mut state, replica);
            }
            Step::Settle(replica, tenant, want) => {
                let name = self.name(replica, state.replicas[replica].life);
                let (version, account) = state.accounts[tenant].clone();
                let counted = Self::count(&state, tenant, state.replicas[replica].seen);
                let me = &mut state.replicas[replica];
                let wants = Amounts::from([(PODS.to_owned(), Amount::whole(want.into()))]);
                if self.bug == Bug::ForgetsBeforeCounted {
                    let gone: Vec<String> = last
                        .objects
                        .iter()
                        .map(|(_, name, ..)| name.to_string())
                        .collect();
                    for name in gone {
                        me.books[tenant].forget(&name);
                    }
                }
                let after = me.books[tenant].settle(&name, &account, &counted, &wants, want > 0);
                if self.bug != Bug::ChargesWhileSettling {
                    me.books[tenant].brace(&name, &after);
                }
                me.settles += 1;
                me.writing = Some((tenant, version, after));
            }
            Step::Write(replica) => {
                let name = self.name(replica, state.replicas[replica].life);
                let (tenant, version, after) = state.replicas[replica].writing.take()?;
                if state.accounts[tenant].0 == version || self.bug == Bug::WritesBlindly {
                    state.accounts[tenant] = (state.accounts[tenant].0 + 1, after.clone());
                    state.replicas[replica].books[tenant].settled(&name, &after);
                }
            }
            // It may still be carried out, and the replica never hears.
            Step::GiveUp(replica) => {
                let write = state.replicas[replica].writing.take()?;
                state.late.push(write);
            }
            Step::WriteLate(index) => {
                let (tenant, version, after) = state.late.remove(index);
                if state.accounts[tenant].0 != version {
                    return None;
                }
                state.accounts[tenant] = (version + 1, after);
            }
            Step::Resolve(replica, tenant, name) => {
                let found = state.objects.iter().find(|o| o.1 == name && o.3.is_none());
                let book = &mut state.replicas[replica].books[tenant];
                match found {
                    None => book.forget(&name.to_string()),
                    Some(object) => book.saw(&name.to_string(), object.2),
                }
            }
            Step::Die(replica) => {
                state.deaths += 1;
                let life = state.replicas[replica].life + 1;
                let name = self.name(replica, life);
                let mut books = vec![Book::default(); TENANTS];
                for (book, (_, account)) in books.iter_mut().zip(&state.accounts) {
                    book.settled(&name, account);
                }
                // It lists when it starts. A write of its former life may still be under way.
                let now = state.now;
                let me = &mut state.replicas[replica];
                state.late.extend(me.writing.take());
                *me = Replica {
                    life,
                    settles: me.settles,
                    seen: now,
                    books,
                    writing: None,
                };
            }
            Step::Bury(_, tenant, dead) => {
                let now = state.now;
                let recount = match self.bug {
                    Bug::BuriesWithoutRecount => BTreeMap::new(),
                    _ => Self::count(&state, tenant, now),
                };
                let (version, account) = &mut state.accounts[tenant];
                account.bury(&dead, &recount);
                *version += 1;
            }
            // Controllers write the limit of the spec, which an administrator has lowered and
            // raised again.
            Step::Read(controller, tenant) => {
                let (version, mut account) = state.accounts[tenant].clone();
                let limit = if state.written == 0 {
                    1
                } else {
                    self.limits[tenant]
                };
                account.hard.insert(
                    PODS.to_owned(),
                    Amount::whole(limit.min(self.limits[tenant])),
                );
                state.controllers[controller] = Some((tenant, version, account));
                state.written += 1;
            }
            Step::Limit(controller) => {
                let (tenant, version, account) = state.controllers[controller].take()?;
                if state.accounts[tenant].0 == version || self.bug == Bug::WritesBlindly {
                    state.accounts[tenant] = (state.accounts[tenant].0 + 1, account);
                }
            }
        }
        Some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![Property::always(
            "never more than the limit",
            |model: &Ledger, state: &State| {
                (0..TENANTS).all(|tenant| {
                    let flying = state.flying.iter().filter(|f| f.0 == tenant);
                    alive(state, tenant) + flying.count() as u64 <= model.limits[tenant]
                })
            },
        )]
    }
}

/// The same state but for who is called what: of replicas, tenants and controllers that differ in
/// nothing but their place, it is no matter which is the first. Any choice is right that names the same
/// state otherwise; this one is cheap, and leaves few states twice.
fn renamed(state: &State) -> State {
    let mut state = state.clone();
    state.flying.sort();
    if mark(&tenant_of(&state, 0)) > mark(&tenant_of(&state, 1)) {
        swap_tenants(&mut state);
    }
    if mark(&state.replicas[0]) > mark(&state.replicas[1]) {
        swap_replicas(&mut state);
    }
    if mark(&state.controllers[0]) > mark(&state.controllers[1]) {
        state.controllers.swap(0, 1);
    }
    state
}

fn mark(part: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    part.hash(&mut hasher);
    hasher.finish()
}

/// What is a tenant's own, whoever the replicas are.
fn tenant_of(state: &State, tenant: usize) -> impl Hash {
    let (version, account) = &state.accounts[tenant];
    let objects = state.objects.iter().filter(|object| object.0 == tenant);
    let objects: Vec<_> = objects
        .map(|object| (object.1, object.2, object.3))
        .collect();
    let flying: Vec<u8> = state
        .flying
        .iter()
        .filter(|it| it.0 == tenant)
        .map(|it| it.1)
        .collect();
    (
        *version,
        account.hard.clone(),
        account.base.clone(),
        objects,
        flying,
    )
}

fn swap_tenants(state: &mut State) {
    let other = |tenant: &mut usize| *tenant = 1 - *tenant;
    state.accounts.swap(0, 1);
    state
        .objects
        .iter_mut()
        .for_each(|object| other(&mut object.0));
    state
        .flying
        .iter_mut()
        .for_each(|request| other(&mut request.0));
    state.flying.sort();
    for replica in &mut state.replicas {
        replica.books.swap(0, 1);
    }
    for (tenant, ..) in writes(state) {
        other(tenant);
    }
}

fn swap_replicas(state: &mut State) {
    let other = |name: &str| match name.strip_prefix("r0") {
        Some(life) => format!("r1{life}"),
        None => name.replacen("r1", "r0", 1),
    };
    let rename = |account: &mut Account| {
        let leases = std::mem::take(&mut account.leases).into_iter();
        account.leases = leases.map(|(name, lease)| (other(&name), lease)).collect();
    };
    state.replicas.swap(0, 1);
    state
        .flying
        .iter_mut()
        .for_each(|request| request.2 = other(&request.2));
    state.flying.sort();
    state
        .accounts
        .iter_mut()
        .for_each(|(_, account)| rename(account));
    for (_, _, account) in writes(state) {
        rename(account);
    }
}

/// Every write that has been begun and not ended.
fn writes(state: &mut State) -> impl Iterator<Item = &mut (usize, u64, Account)> {
    let replicas = state.replicas.iter_mut();
    let begun = replicas.filter_map(|replica| replica.writing.as_mut());
    let limits = state.controllers.iter_mut().flatten();
    begun.chain(limits).chain(&mut state.late)
}

/// What came of looking at a model's states.
struct Explored {
    states: usize,
    /// States that were reached, those reached before among them.
    reached: usize,
    depth: usize,
    /// Whether there are no more.
    ended: bool,
    bad: Option<State>,
}

/// Looks at so many states, nearest first; those that `same` calls alike count once.
fn nearest(model: &Ledger, most: usize, same: impl Fn(&State) -> State) -> Explored {
    let property = model.properties().remove(0);
    let mut explored = Explored {
        states: 0,
        reached: 0,
        depth: 0,
        ended: false,
        bad: None,
    };
    let mut known = HashSet::new();
    let mut level: Vec<State> = model.init_states();
    known.extend(level.iter().map(|state| mark(&same(state))));
    let mut steps = Vec::new();
    while !level.is_empty() {
        let mut next = Vec::new();
        for state in level {
            explored.states += 1;
            if !(property.condition)(model, &state) {
                explored.bad = Some(state);
                return explored;
            }
            if known.len() >= most {
                continue;
            }
            steps.clear();
            model.actions(&state, &mut steps);
            for step in steps.drain(..) {
                let Some(reached) = model.next_state(&state, step) else {
                    continue;
                };
                explored.reached += 1;
                let reached = same(&reached);
                if known.insert(mark(&reached)) {
                    next.push(reached);
                }
            }
        }
        explored.depth += usize::from(!next.is_empty());
        level = next;
    }
    explored.ended = known.len() < most;
    explored
}

fn alive(state: &State, tenant: usize) -> u64 {
    let objects = state.objects.iter();
    objects.filter(|o| o.0 == tenant && o.3.is_none()).count() as u64
}

/// One tenant, replicas that die, and everything late that can be.
fn dying(bug: Bug) -> Ledger {
    Ledger {
        limits: [1, 1],
        requests: 2,
        deaths: 1,
        settles: 2,
        limits_written: 0,
        late: true,
        asking: 1,
        bug,
    }
}

/// How many states are looked at, nearest first: twelve steps deep, and more.
/// Both mistakes that this model once found in the arithmetic took eleven.
const STATES: usize = 400_000;

fn explore(model: Ledger) {
    let checker = model.checker().threads(2).target_state_count(STATES);
    let checker = checker.spawn_bfs().join();
    println!(
        "{} states, {} of them different, {} steps deep",
        checker.state_count(),
        checker.unique_state_count(),
        checker.max_depth()
    );
    let found = checker.discovery("never more than the limit");
    assert!(found.is_none(), "{:?}", found.unwrap().into_actions());
    assert!(checker.unique_state_count() > 100_000);
}

#[test]
fn no_state_that_dying_replicas_reach_has_more_than_the_limit() {
    explore(dying(Bug::None));
}

#[test]
fn no_state_of_two_tenants_and_two_controllers_has_more_than_the_limit() {
    explore(Ledger {
        requests: 2,
        deaths: 0,
        settles: 1,
        limits_written: 2,
        late: false,
        asking: TENANTS,
        ..dying(Bug::None)
    });
}

#[test]
fn bugs_put_in_by_hand_are_found() {
    for bug in [
        Bug::ForgetsBeforeCounted,
        Bug::BuriesTooEarly,
        Bug::BuriesWithoutRecount,
        Bug::ChargesWhileSettling,
        Bug::WritesBlindly,
    ] {
        let checker = dying(bug).checker().threads(2).spawn_bfs().join();
        let found = checker.discovery("never more than the limit");
        assert!(found.is_some(), "{bug:?} goes unnoticed");
        println!("{bug:?}: {} steps", found.unwrap().into_actions().len());
    }
}

/// Two tenants that ask, two replicas of which one dies, two controllers, and answers lost and writes
/// late: all of it at once.
fn everything(bug: Bug) -> Ledger {
    Ledger {
        settles: 2,
        limits_written: 2,
        asking: TENANTS,
        ..dying(bug)
    }
}

/// How many states of all at once are looked at where everything is tried; `cargo xtask model` looks at
/// more.
const STATES_OF_ALL: usize = 100_000;

#[test]
fn no_state_of_all_at_once_has_more_than_the_limit() {
    let more = std::env::var("BULKHEAD_MODEL_STATES").ok();
    let most = more.map_or(STATES_OF_ALL, |most| most.parse().unwrap());
    let explored = nearest(&everything(Bug::None), most, renamed);
    println!(
        "{} states, each for up to eight that differ in names alone, {} reached, {} steps deep{}",
        explored.states,
        explored.reached,
        explored.depth,
        if explored.ended {
            ", and there are no more"
        } else {
            ""
        },
    );
    assert!(explored.bad.is_none(), "{:?}", explored.bad);
    assert!(explored.states >= most);
}

/// To call states alike hides no mistake, and is worth it.
#[test]
fn names_aside_the_same_is_found_in_fewer_states() {
    let small = |bug| Ledger {
        settles: 1,
        requests: 1,
        limits_written: 1,
        late: false,
        ..everything(bug)
    };
    let all = nearest(&small(Bug::None), usize::MAX, State::clone);
    let fewer = nearest(&small(Bug::None), usize::MAX, renamed);
    assert!(all.ended && all.bad.is_none());
    assert!(fewer.ended && fewer.bad.is_none());
    println!("{} states, {} but for names", all.states, fewer.states);
    assert!(fewer.states * 2 < all.states);
    for bug in [Bug::BuriesTooEarly, Bug::WritesBlindly] {
        let model = Ledger {
            asking: TENANTS,
            ..dying(bug)
        };
        let found = nearest(&model, usize::MAX, renamed);
        assert!(found.bad.is_some(), "{bug:?} goes unnoticed");
    }
}
