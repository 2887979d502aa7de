import ForgeBase

/// Every command of `forge`, in the order of its help.
enum CommandCatalog {
    private static let recipe = OperandSyntax(name: "RECIPE", kind: .recipe)
    private static let neededRecipe = OperandSyntax(name: "RECIPE", kind: .recipe, required: true)
    private static let set = OptionSyntax.value("set", "NAME=VALUE", "Set a parameter of the recipe", repeats: true)
    private static let output = OptionSyntax.value("output", "DIR", "Where artifacts go; default: out/ of the project")
    private static let locked = OptionSyntax.flag("locked", "Refuse to make or change a lock (for CI)")
    private static let mirror = OptionSyntax.value(
        "mirror", "NAME=URL", "Fetch an archive's packages, or what a host has, from here (or FORGE_MIRROR_<NAME>)",
        repeats: true)
    private static let sources: [OptionSyntax] = [
        mirror,
        .value("snapshot", "ARCHIVE=URL", "Ask this snapshot service for packages that are gone", repeats: true),
        .flag("allow-expired", "Accept a Release file that is past its Valid-Until"),
    ]
    private static let running: [OptionSyntax] = [
        .value("jobs", "N", "Cores to use; default: all"),
        .flag("keep-going", "After a failure, go on with what does not depend on it"),
        .flag("offline", "Never use the network"),
        .flag("no-tool-cache", "Compile without what compilers keep between builds"),
    ]
    private static let machine: [OptionSyntax] = [
        .value("firmware", "KIND", "bios or uefi", choices: ["bios", "uefi"]),
        .value("memory", "MIB", "Memory of the virtual machine; default 2048"),
        .value("seed", "FILE", "A cloud-init seed image; default: the recipe's seed.iso if it has one"),
        .flag("no-seed", "Attach no cloud-init seed"),
    ]

    static let all: [CommandSyntax] = [
        CommandSyntax(
            name: "build", summary: "Build the artifacts of a recipe",
            discussion: """
                Runs what is not in the cache and puts the artifacts into out/<recipe>/<cell>/. Without a lock, \
                one is made first. Nothing runs if nothing changed.
                """,
            operands: [recipe],
            options: [
                set, output, locked,
                .value("trace", "FILE", "Write when everything ran, for ui.perfetto.dev or chrome://tracing"),
            ] + running + sources,
            examples: [
                ("forge build debian-node", "build the recipe's image"),
                ("forge build debian-node --set suite=trixie", "the same from another Debian release"),
                ("forge build debian-node --locked --json", "in CI: keep to the lock, report as JSON"),
                (
                    "forge build debian-node --trace build.json",
                    "what ran when, beside the load of processors and disks"
                ),
            ]),
        CommandSyntax(
            name: "lock", summary: "Choose and pin every byte from outside",
            discussion: """
                Reads the archives' signed indexes, resolves the packages, and writes forge.lock beside the recipe. \
                With --update only the named packages move, or all of them if none is named.
                """,
            operands: [neededRecipe, OperandSyntax(name: "PACKAGE", kind: .word, repeats: true)],
            options: [
                set, .flag("check", "Say which packages have newer versions; write nothing"),
                .flag("update", "Move packages to the versions that the archives have now"),
            ] + sources,
            examples: [
                ("forge lock debian-node", "make the lock, or complete it"),
                ("forge lock --check debian-node", "list what is newer in the archives"),
                ("forge lock --update debian-node openssl libssl3", "move two packages only"),
            ]),
        CommandSyntax(
            name: "plan", summary: "Show what a build would run, without running it", operands: [recipe],
            options: [set, locked] + sources,
            examples: [("forge plan debian-node --json", "every action with its options and inputs")]),
        CommandSyntax(
            name: "graph", summary: "Draw the plan and the last build",
            discussion: """
                As a page for a browser (html): the graph of actions, the timeline of the last build that ran something with \
                its critical path, sizes, and a table. Or the plan alone, for Graphviz.
                """,
            operands: [recipe],
            options: [
                set, locked,
                .value(
                    "format", "FORMAT", "html, json, dot (default), or svg through Graphviz",
                    choices: ["html", "json", "dot", "svg"]),
            ]
                + sources,
            examples: [
                ("forge graph debian-node --format html > build.html", "one file to open in a browser, or to send"),
                ("forge graph debian-node --format svg > graph.svg", "a picture of the plan"),
            ]),
        CommandSyntax(
            name: "explain", summary: "Say why actions would run, or ran",
            discussion: """
                Compares the key of every action with the one it had before, and follows each cause down to the file, \
                package or line of the recipe. A..B compares two builds by their numbers in `forge log`; ..B compares \
                build B with what was before it.
                """,
            operands: [recipe, OperandSyntax(name: "A..B", kind: .stage), OperandSyntax(name: "STAGE", kind: .stage)],
            options: [set, locked, .flag("last", "Explain the last build instead of the next")] + sources,
            examples: [
                ("forge explain debian-node config", "why the stage “config” has to run again"),
                ("forge explain debian-node --last", "what the last build did, and why"),
                ("forge explain debian-node 3..5 iso", "what made the ISO of build 5 another than that of build 3"),
            ]),
        CommandSyntax(
            name: "log", summary: "Show earlier builds, or the log of one stage",
            operands: [recipe, OperandSyntax(name: "STAGE", kind: .stage)],
            options: [set, .value("last", "N", "List so many builds; default 20")],
            examples: [
                ("forge log debian-node", "every build that did something, newest first"),
                ("forge log debian-node base", "what the stage “base” printed when it last ran"),
            ]),
        CommandSyntax(
            name: "stats", summary: "Show what builds cost, and what the cache saved",
            discussion: "Of one recipe, or of all that were built with this cache.", operands: [recipe],
            examples: [("forge stats debian-node", "slowest actions, cache hits, time and bytes saved, trend")]),
        CommandSyntax(
            name: "shell", summary: "Open a shell in a stage's sandbox",
            discussion: """
                The sandbox has the inputs, options and environment of the stage. Outputs written there are thrown away.
                """,
            operands: [neededRecipe, OperandSyntax(name: "STAGE", kind: .stage, required: true)],
            options: [set, locked, .value("command", "TEXT", "Run this with bash instead of an interactive shell")]
                + sources,
            examples: [("forge shell debian-node iso", "look around where the ISO is made")]),
        CommandSyntax(
            name: "kernel", summary: "Check or change a kernel's configuration, without a build",
            discussion: """
                verify: configure the recipe's kernel and compare every option that its fragments ask for with what came of \
                it; each that differs is a line with its cause and what to do, and the exit code is 2. menuconfig: change \
                the configuration on this terminal; what was changed is written as a fragment, by default as \
                menuconfig.config (menuconfig-2.config …) into the recipe's folder.
                """,
            operands: [
                OperandSyntax(name: "ACTION", kind: .choice(KernelCommand.actions), required: true),
                OperandSyntax(name: "RECIPE", kind: .recipe),
            ],
            options: [
                set, locked,
                .value("fragment", "FILE", "verify: a further fragment, after those of the recipe", repeats: true),
                .value("output", "FILE", "menuconfig: where the fragment goes; never over a file that is there"),
                .value("stage", "ID", "The stage kernel-config, if the recipe has several"),
                .flag("offline", "Never use the network"),
            ] + sources,
            examples: [
                ("forge kernel verify k8s-livecd --set kernel=vanilla", "is every option what was asked for?"),
                ("forge kernel verify my-node --fragment nfs.config", "would this fragment work?"),
                ("forge kernel menuconfig my-node", "change options; a fragment keeps them"),
            ]),
        CommandSyntax(
            name: "run", summary: "Boot a built image in QEMU",
            discussion: "The serial console is this terminal; leave with ctrl-A X. SSH of the machine is forwarded.",
            operands: [recipe],
            options: [set, output] + machine + [
                .value("disk", "FILE", "A disk to write to, kept between runs; made if it is not there (ext4, 8 GiB)"),
                .flag("netboot", "Boot the recipe's netboot folder over HTTP instead of its ISO"),
                .value("ssh-port", "PORT", "Port of this host for SSH; default 2222"),
            ] + running + sources + [locked],
            examples: [
                ("forge run debian-node --firmware uefi", "boot by UEFI"),
                ("forge run debian-node --disk data.img", "what is written is there again in the next run"),
            ]),
        CommandSyntax(
            name: "test", summary: "Boot a built image and check what the recipe's tests say",
            discussion: """
                Tests whose machines join a cluster start a control plane beside them and take long: they run with --join, \
                and nothing else does then.
                """,
            operands: [recipe],
            options: [
                set, output, .value("only", "NAME", "Run this test only", repeats: true),
                .flag("join", "Run the tests whose machines join a cluster"),
                .value("machines", "N", "How many machines join; default: what the test says"),
                .value("timeout", "SECONDS", "Longest time for one boot; default 600"),
            ] + machine + running + sources
                + [locked],
            examples: [
                ("forge test debian-node --firmware uefi", "the tests by UEFI only"),
                ("forge test k8s-livecd --join --machines 2", "two machines join a cluster"),
            ]),
        CommandSyntax(
            name: "cache", summary: "Look after the cache",
            discussion: """
                stat: what is in it. verify: read every byte and name what is damaged; repair: drop that, so that the next \
                build makes it again. gc: remove what nothing needs, and what was unused for longest where limits are set. \
                pin RECIPE, unpin NAME, pins: keep the build of a recipe whatever the limits. export RECIPE FILE, import \
                FILE: a build with everything it is made of as one file, for a host without a network. clear: remove all.
                """,
            operands: [
                OperandSyntax(name: "ACTION", kind: .choice(CacheCommand.actions), required: true),
                OperandSyntax(name: "WORD", kind: .recipe, repeats: true),
            ],
            options: [
                .value("max-size", "SIZE", "gc: keep at most this much, for example 20G (FORGE_CACHE_MAX_SIZE)"),
                .value("min-free", "SIZE", "gc: free at least this much of the disk (FORGE_CACHE_MIN_FREE)"),
                .value("max-age", "DAYS", "gc: drop what was not used for so long (FORGE_CACHE_MAX_AGE)"),
                .value(
                    "max-tool-size", "SIZE", "gc: keep at most this much of tool caches (FORGE_CACHE_MAX_TOOL_SIZE)"),
                .value("name", "NAME", "pin: what to call the pin; default: the recipe and what is set"),
                set,
            ],
            examples: [
                ("forge cache gc --max-size 20G", "drop the least recently used down to 20 GiB"),
                ("forge cache pin debian-node --name v1.4", "keep this build for good"),
                ("forge cache export debian-node node.forge", "for a host without a network"),
                ("forge cache import node.forge", "there, before `forge build --offline --locked debian-node`"),
            ]),
        CommandSyntax(
            name: "schema", summary: "Print the JSON Schema of recipes or stages",
            operands: [OperandSyntax(name: "KIND", kind: .choice(["recipe", "stage", "reference"]))],
            examples: [("forge schema recipe > recipe.schema.json", "for an editor's completion")]),
        CommandSyntax(
            name: "hash", summary: "Print what pins a file or a commit of the network in a recipe",
            discussion: """
                Fetches it and prints an input to paste. It is what the server sends today: compare it with what its authors \
                publish.
                """,
            operands: [
                OperandSyntax(name: "URL", kind: .word, required: true), OperandSyntax(name: "REF", kind: .word),
            ],
            options: [
                .flag("git", "The URL is a repository; REF is a branch, a tag or a commit, default HEAD"), mirror,
            ],
            examples: [
                ("forge hash https://example.org/x-1.2.tar.xz", "its SHA-256 and size"),
                ("forge hash --git https://example.org/x.git v1.2", "the commit of a tag, and its tree"),
            ]),
        CommandSyntax(name: "doctor", summary: "Check that this host can build and test"),
        CommandSyntax(
            name: "init", summary: "Start a new recipe",
            operands: [OperandSyntax(name: "NAME", kind: .word, required: true)],
            examples: [("forge init my-node", "makes recipes/my-node/ to build on")]),
        CommandSyntax(
            name: "completions", summary: "Print completions for a shell",
            operands: [OperandSyntax(name: "SHELL", kind: .choice(["bash", "zsh", "fish"]), required: true)],
            examples: [("source <(forge completions bash)", "completion in this shell")]),
        CommandSyntax(
            name: "manual", summary: "Print the manual page (troff)",
            examples: [("forge manual | man -l -", "read the manual")]),
        CommandSyntax(name: "version", summary: "Print the version"),
    ]

    static func named(_ name: String) -> CommandSyntax? { all.first { $0.name == name } }
}
