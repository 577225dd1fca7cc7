//! The scenario by which a planted route is explored.

use crate::service::Mutant;

/// Name of the aggregation that judges where serial runs do not.
pub(super) const RULE: &str = "the rule of the route";

/// The scenario of a bug, or of its control.
pub(super) fn scenario(mutant: &Mutant, correct: bool) -> String {
    let control = if correct { ", \"--planted-control\"" } else { "" };
    let mut text = format!("name = \"{}: {}\"\nworkload = \"custom\"\n\n[target.http]\n", mutant.id, mutant.bug);
    for (position, request) in mutant.requests.iter().enumerate() {
        text += &format!(
            "\n[target.http.operations.\"{request}\"]\npath = \"/planted/{request}/{{{{ key }}}}/{{{{ op.id }}}}\"\n"
        );
        if mutant.before && position == 0 {
            text += "before = { path = \"/planted/before/{{ key }}/0\" }\n";
        }
    }
    let judge = if mutant.rule.is_some() { "checkers" } else { "as-if-serial" };
    text += &format!(
        "\n[explore]\nrequests = {}\npairs = false\noperations = {:?}\njudge = \"{judge}\"\nprobes = false\nfaults = {:?}\nredeliver = {}\n",
        if mutant.alone { 1 } else { 2 },
        mutant.requests,
        mutant.faults,
        mutant.redeliver
    );
    text += &format!(
        "\n[service]\ncommand = [\"{{{{ onlyone }}}}\", \"serve\", \"--quiet\", \"--pool\", \"4\", \"--port\", \"{{{{ service.port }}}}\",\n    \
         \"--database\", \"{{{{ mongo.database }}}}\", \"--planted\", \"{}\"{control}]\n\
         env = {{ ONLYONE_MONGO_URI = \"{{{{ mongo.uri }}}}\" }}\nready = \"/health\"\ninstances = {}\n",
        mutant.id, mutant.instances
    );
    if mutant.own_server {
        text += "\n[mongod]\ntest_commands = true\n";
    }
    if mutant.reads_from_secondaries() {
        text += "replica_set = 3\n";
    }
    if let Some(rule) = mutant.rule {
        text += &format!(
            "\n[[invariant]]\nname = \"{RULE}\"\ncollection = \"{}\"\npipeline = '''{}'''\nexpect = \"empty\"\n",
            rule.collection, rule.pipeline
        );
    }
    text += "\n[load.burst]\nclients = 2\nrounds = 5\n";
    text
}
