//! Words about images.

use super::{FILTER, LIST_FORMAT, NO_TRUST, ONE_FORMAT, PLATFORM, PRUNE_FILTER, WORD, YES, act};
use crate::cli::flags::Count::{AtLeast, AtMost, Exactly};
use crate::cli::flags::{Entry, Family, Flag, Kind, Names, Word, flag, long};
use crate::cli::{archives, history, images, inspect, lifecycle, prune, search, system, transfer};

/// `image …`
pub(crate) const FAMILY: Family = Family {
    about: "Look after images",
    usage: "",
    aliases: &[("list", "ls"), ("remove", "rm")],
    words: &[
        ("build", Entry::Word(&super::system::BUILD)),
        ("history", Entry::Word(&HISTORY)),
        ("import", Entry::Word(&IMPORT)),
        ("inspect", Entry::Word(&INSPECT)),
        ("load", Entry::Word(&LOAD)),
        ("ls", Entry::Word(&IMAGES)),
        ("prune", Entry::Word(&PRUNE)),
        ("pull", Entry::Word(&PULL)),
        ("push", Entry::Word(&PUSH)),
        ("rm", Entry::Word(&RMI)),
        ("save", Entry::Word(&SAVE)),
        ("tag", Entry::Word(&TAG)),
    ],
};

const ONE: Word = Word { count: Exactly(1), names: Names::Images, usage: &["[OPTIONS] IMAGE"], ..WORD };
const SEVERAL: Word = Word { count: AtLeast(1), usage: &["[OPTIONS] IMAGE [IMAGE...]"], ..ONE };

pub(crate) const HISTORY: Word = Word {
    about: "Show how an image was made",
    aliases: &["image history", "history"],
    flags: &[&[
        LIST_FORMAT,
        flag('H', "human", Kind::Bool, "Sizes and dates as people read them").default("true"),
        long("no-trunc", Kind::Bool, "Do not shorten"),
        PLATFORM,
        flag('q', "quiet", Kind::Bool, "Only ids"),
    ]],
    act: act!(history::run),
    ..ONE
};

pub(crate) const IMPORT: Word = Word {
    usage: &["[OPTIONS] file|URL|- [REPOSITORY[:TAG]]"],
    about: "Make an image of an archive of files",
    aliases: &["image import", "import"],
    flags: &[&[
        flag('c', "change", Kind::List, "Apply a Dockerfile instruction to the image"),
        flag('m', "message", Kind::Text, "What this is"),
        PLATFORM,
    ]],
    count: AtLeast(1),
    names: Names::Files,
    act: act!(archives::import),
    ..ONE
};

const INSPECT: Word = Word {
    about: "Show everything about images",
    flags: &[&[ONE_FORMAT, PLATFORM]],
    act: act!(inspect::image),
    ..SEVERAL
};

pub(crate) const LOAD: Word = Word {
    usage: &["[OPTIONS]"],
    about: "Bring images from a tar archive or standard input",
    aliases: &["image load", "load"],
    flags: &[&[
        flag('i', "input", Kind::Text, "Read a file instead of standard input"),
        PLATFORM,
        flag('q', "quiet", Kind::Bool, "Do not say how far it got"),
    ]],
    count: Exactly(0),
    names: Names::Files,
    act: act!(archives::load),
    ..ONE
};

pub(crate) const IMAGES: Word = Word {
    usage: &["[OPTIONS] [REPOSITORY[:TAG]]"],
    about: "List images",
    aliases: &["image ls", "image list", "images"],
    flags: &[&[
        flag('a', "all", Kind::Bool, "Also intermediate ones"),
        long("digests", Kind::Bool, "Show digests"),
        FILTER,
        LIST_FORMAT,
        long("no-trunc", Kind::Bool, "Do not shorten"),
        flag('q', "quiet", Kind::Bool, "Only ids"),
        long("tree", Kind::Bool, "One line an image, with all its names"),
    ]],
    count: AtMost(1),
    act: act!(images::run),
    ..ONE
};

const PRUNE: Word = Word {
    usage: &["[OPTIONS]"],
    about: "Remove images that nothing uses",
    flags: &[&[flag('a', "all", Kind::Bool, "Also those that have a name"), PRUNE_FILTER, YES]],
    count: Exactly(0),
    act: act!(prune::images),
    ..ONE
};

const TRANSFER: &[Flag] = &[NO_TRUST, PLATFORM];

pub(crate) const PULL: Word = Word {
    usage: &["[OPTIONS] NAME[:TAG|@DIGEST]"],
    about: "Bring an image from a registry",
    aliases: &["image pull", "pull"],
    flags: &[
        TRANSFER,
        &[
            flag('a', "all-tags", Kind::Bool, "Every tag of the repository"),
            flag('q', "quiet", Kind::Bool, "Do not say how far it got"),
        ],
    ],
    act: act!(transfer::pull),
    ..ONE
};

pub(crate) const PUSH: Word = Word {
    usage: &["[OPTIONS] NAME[:TAG]"],
    about: "Send an image to a registry",
    aliases: &["image push", "push"],
    flags: &[
        TRANSFER,
        &[
            flag('a', "all-tags", Kind::Bool, "Every tag of the repository"),
            flag('q', "quiet", Kind::Bool, "Do not say how far it got"),
        ],
    ],
    act: act!(transfer::push),
    ..ONE
};

pub(crate) const RMI: Word = Word {
    about: "Remove images",
    aliases: &["image rm", "image remove", "rmi"],
    flags: &[&[
        flag('f', "force", Kind::Bool, "Also when it has several names or a stopped container uses it"),
        long("no-prune", Kind::Bool, "Keep parents that have no name"),
        long("platform", Kind::Commas, "Only this platform of it, like linux/arm64"),
    ]],
    act: act!(lifecycle::remove_images),
    ..SEVERAL
};

pub(crate) const SAVE: Word = Word {
    about: "Write images as a tar archive",
    aliases: &["image save", "save"],
    flags: &[&[flag('o', "output", Kind::Text, "Write to a file instead of standard output"), PLATFORM]],
    act: act!(archives::save),
    ..SEVERAL
};

pub(crate) const SEARCH: Word = Word {
    usage: &["[OPTIONS] TERM"],
    about: "Look for images in the default registry",
    flags: &[&[
        FILTER,
        LIST_FORMAT,
        long("limit", Kind::Int, "Show at most so many"),
        long("no-trunc", Kind::Bool, "Do not shorten"),
    ]],
    names: Names::Nothing,
    act: act!(search::run),
    ..ONE
};

pub(crate) const TAG: Word = Word {
    usage: &["SOURCE_IMAGE[:TAG] TARGET_IMAGE[:TAG]"],
    about: "Give an image a further name",
    aliases: &["image tag", "tag"],
    count: Exactly(2),
    act: act!(system::tag),
    ..ONE
};
