//! Negative controls: workers with one fault each, which a campaign must find. A check that never failed proves nothing.

use crate::{
    campaign::Work,
    report::Violation::{self, Disorder, Doubled, LateUse, Lost, Overshoot, Torn, Usage},
    worker::root,
};
use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// A fault, and what it must be seen as.
pub struct Control {
    pub name: &'static str,
    pub fault: &'static str,
    pub seen_as: &'static [Violation],
    /// Who looks for it: a team or two, so that it is found soon on a busy machine too.
    pub work: (Work, usize),
    /// What replaces what in `object.js`: each text stands there exactly once.
    changes: &'static [(&'static str, &'static str)],
    /// What is appended to it.
    code: &'static str,
}

/// Where an object is given its storage.
const STORAGE: &str = "new Rows(this.ctx.storage)";

/// All of them.
pub const CONTROLS: [Control; 5] = [
    Control {
        name: "torn",
        fault: "an await between two writes of one change",
        seen_as: &[Torn, Lost, Doubled, Disorder],
        work: (Work::Messages, 3),
        changes: &[
            (STORAGE, "new Rows((this.torn ??= torn(this.ctx.storage)))"),
            (
                "      return reply;\n    } catch {",
                "      return this.torn.rest ? this.torn.rest.then(() => reply) : reply;\n    } catch {",
            ),
        ],
        code: include_str!("../controls/torn.js"),
    },
    Control {
        name: "early",
        fault: "a revocation answered before the shards knew of it",
        seen_as: &[LateUse],
        work: (Work::Revocation, 3),
        changes: &[(
            "await within(DELIVERY_MILLIS, this.#insist(awaited));",
            "distance(this, awaited).then(() => this.#insist(awaited)).catch(() => {}); if (awaited) return reply;",
        )],
        code: include_str!("../controls/early.js"),
    },
    Control {
        name: "forgetful",
        fault: "windows of limits in memory instead of storage",
        seen_as: &[Overshoot],
        work: (Work::Limits, 3),
        changes: &[(STORAGE, "new Rows((this.forgetful ??= forgetful(this.ctx.storage)))")],
        code: include_str!("../controls/forgetful.js"),
    },
    Control {
        name: "careless",
        fault: "the account of a server key in memory instead of storage",
        seen_as: &[Overshoot, Usage],
        work: (Work::ServerKeys, 2),
        changes: &[(STORAGE, "new Rows((this.forgetful ??= forgetful(this.ctx.storage)))")],
        code: include_str!("../controls/forgetful.js"),
    },
    Control {
        name: "twice",
        fault: "what an Idempotency-Key of records stands for in memory instead of storage",
        seen_as: &[Doubled],
        work: (Work::Records, 2),
        changes: &[(STORAGE, "new Rows((this.forgetful ??= forgetful(this.ctx.storage)))")],
        code: include_str!("../controls/forgetful.js"),
    },
];

impl Control {
    /// Makes the faulty worker from the good one, in a folder that is served like any build.
    pub fn build(&self, folder: &Path) -> io::Result<PathBuf> {
        let (good, faulty) = (root().join("build"), folder.join(self.name));
        fs::create_dir_all(&faulty)?;
        for file in [
            "entry.js",
            "crypto.js",
            "passing.js",
            "reading.js",
            "upstream.js",
            "fetching.js",
            "index.js",
            "index_bg.wasm",
        ] {
            fs::copy(good.join(file), faulty.join(file))?;
        }
        let objects = fs::read_to_string(good.join("object.js"))?;
        fs::write(faulty.join("object.js"), self.objects(&objects).map_err(io::Error::other)?)?;
        Ok(faulty)
    }

    fn objects(&self, good: &str) -> Result<String, String> {
        let mut objects = good.to_owned();
        for (old, new) in self.changes {
            if objects.matches(old).count() != 1 {
                return Err(format!("control {}: `{old}` does not stand in object.js exactly once", self.name));
            }
            objects = objects.replace(old, new);
        }
        Ok(objects + self.code)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_control_changes_the_objects_of_today() {
        let objects = fs::read_to_string(root().join("edge/js/object.js")).unwrap();
        for control in CONTROLS {
            assert_ne!(control.objects(&objects).unwrap(), objects, "{}", control.name);
            assert!(control.objects("").is_err() && control.objects(&objects.repeat(2)).is_err());
        }
    }
}
