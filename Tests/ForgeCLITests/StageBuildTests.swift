import ForgeBase
import ForgeSystem
import Glibc
import Testing

/// Recipes with stages of their own, built by the real program in the real sandbox.
@Suite(.enabled(if: Files.exists(BuildProject.busybox), "needs busybox-static"))
struct StageBuildTests {
    let project: BuildProject

    init() throws { project = try BuildProject() }

    // MARK: Inputs

    @Test func everyKindOfInputReachesTheScript() throws {
        try project.shell(
            """
            mkdir -p web; echo fetched > web/data.txt; mkdir -p recipes/r/src/sub; echo a > recipes/r/src/a.txt
            echo b > recipes/r/src/sub/b.txt; echo no > recipes/r/src/no.md; echo lone > recipes/r/lone
            git init -q repo; cd repo; echo committed > file; git add .
            git -c user.name=a -c user.email=a@b commit -qm x; git rev-parse HEAD > ../commit
            """)
        let sha = Digest.of("fetched\n").hex
        let commit = try project.text("commit").split(separator: "\n").map(String.init)[0]
        try project.recipe(
            script: """
                cat /in/lone /in/many/00-data.txt /in/many/01-lone /in/repo/file
                cd /in/tree; find . -type f | sort; cat src/sub/b.txt
                echo "$GREETING $PATH"
                { cat /in/many/00-data.txt /in/repo/file; (cd /in/tree; find . -type f | sort); echo "$GREETING"; } > /out/out
                """,
            stage: """
                environment: {GREETING: hello, PATH: "/bin:/opt/bin"}
                inputs:
                  lone: {kind: file}
                  many: {kind: file, many: true}
                  tree: {kind: tree}
                  repo: {kind: tree}

                """,
            instance: """
                    environment: {GREETING: good day}
                    inputs:
                      lone: {path: lone}
                      many: [{url: "file://\(project.root)/web/data.txt", sha256: \(sha)}, {path: lone}]
                      tree: {glob: "src/**/*.txt"}
                      repo: {git: "file://\(project.root)/repo", commit: \(commit)}

                """)
        let built = try project.forge("build", "r", "--json")
        #expect(built.status == .exited(0), "\(built.errors)")
        #expect(built.json["ran"] == .int(4), "two fetches, the build root and the stage: \(built.output)")
        #expect(
            try project.text("out/r/default/out")
                == "fetched\ncommitted\n./src/a.txt\n./src/sub/b.txt\ngood day\n")
        // What was fetched is not asked for again, offline or not.
        try project.shell("rm -rf web repo")
        try project.write("recipes/r/src/sub/b.txt", "B")
        let again = try project.forge("build", "r", "--json", "--offline")
        #expect(again.json["ran"] == .int(1) && again.json["hit"] == .int(3), "\(again.output) \(again.errors)")
    }

    @Test func aFetchThatFailsNamesTheInputAndTheLine() throws {
        try project.shell("mkdir -p web; echo other > web/data.txt")
        let instance =
            "    inputs: {f: {url: \"file://\(project.root)/web/data.txt\", sha256: \(Digest.of("x").hex)}}\n"
        try project.recipe(script: "cp /in/f /out/out", stage: "inputs: {f: {kind: file}}\n", instance: instance)
        let error = try project.failure()
        let url = "file://\(project.root)/web/data.txt"
        #expect(
            error.hasPrefix(
                """
                error: recipes/r/recipe.yaml:7:17: r/s:f: \(url): the bytes offered are not those that the recipe names
                  \(url): wrong bytes: SHA-256 is \(Digest.of("other\n").hex), expected \(Digest.of("x").hex)
                """), "\(error)")
        try Files.remove(project.root + "/web")
        #expect(try project.failure().contains("\(url) is not there"))
        try project.recipe(
            script: "cp /in/f /out/out", stage: "inputs: {f: {kind: file}}\n",
            instance: "    inputs: {f: {url: \"https://a.invalid/x\", sha256: \(Digest.of("x").hex)}}\n")
        #expect(
            try project.failure("--offline").contains(
                "r/s:f: https://a.invalid/x is not in the cache, and --offline forbids to fetch it"))
    }

    @Test func whatForgeHashPrintsCanBePasted() throws {
        try project.shell(
            """
            mkdir -p web; echo data > web/x; git init -q -b main repo; cd repo; echo a > a; git add .
            git -c user.name=a -c user.email=a@b commit -qm x; git -c user.name=a -c user.email=a@b tag -am t v1
            """)
        let url = try project.forge("hash", "file://\(project.root)/web/x")
        #expect(
            url.output == "{url: \"file://\(project.root)/web/x\", sha256: \(Digest.of("data\n").hex), size: 5}\n",
            "\(url.errors)")
        let commit = try project.shell("git -C repo rev-parse HEAD").split(separator: "\n").map(String.init)[0]
        let git = try project.forge("hash", "--git", "file://\(project.root)/repo", "v1")
        #expect(
            git.output.hasPrefix("{git: \"file://\(project.root)/repo\", commit: \(commit), tree: "), "\(git.errors)")
        try project.recipe(
            script: "cat /in/f /in/t/a > /out/out", stage: "inputs: {f: {kind: file}, t: {kind: tree}}\n",
            instance: "    inputs:\n      f: \(url.output)      t: \(git.output)")
        let built = try project.forge("build", "r")
        #expect(built.status == .exited(0), "\(built.errors)")
        #expect(try project.text("out/r/default/out") == "data\na\n")
        let wrong = try project.forge("hash", "--git", "file://\(project.root)/repo", "mian")
        #expect(wrong.errors.contains("has no branch or tag “mian”; did you mean “main”?"), "\(wrong.errors)")
    }

    // MARK: Time

    @Test func aScriptThatTakesTooLongIsStoppedWithAllItStarted() throws {
        try project.recipe(
            script: "echo begun; sleep 1234.5 & sleep 1234.5", stage: "timeout: 1h\n", instance: "    timeout: 2s\n")
        let clock = ContinuousClock()
        var error = ""
        let took = try clock.measure { error = try project.failure() }
        #expect(took < .seconds(30))
        #expect(
            error == """
                error: recipes/r/recipe.yaml:5:3: r/s: it ran longer than its limit of 2s and was stopped
                  → if it needs the time, raise the limit: timeout: 4s, for this stage in the recipe or for all in its stage.yaml
                """)
        #expect(try project.shell("pgrep -f 'sleep 1234[.]5' || true") == "", "nothing is left running")
        // The limit is in no key: with more time the same action runs, without a change of what it makes.
        try project.recipe(script: "echo quick > /out/out", instance: "    timeout: 1m\n")
        #expect(try project.forge("build", "r", "--json").json["ran"] == .int(1))
        try project.recipe(script: "echo quick > /out/out", stage: "timeout: 5s\n")
        #expect(try project.forge("build", "r", "--json").json["ran"] == .int(0))
    }

    @Test func aScriptThatFailsIsNotTriedAgain() throws {
        try project.recipe(script: "echo once; exit 3")
        _ = try project.failure()
        let log = try project.shell("cat cache/logs/*.log | grep -c once")
        #expect(log == "1\n")
    }

    // MARK: One after the other

    /// Several scripts run below one child of `forge`, each in a sandbox of its own.
    @Test func nothingOfAScriptIsThereForTheNext() throws {
        try project.recipe(
            script: """
                first=/in/first
                ls -A / /tmp /run /work /work/tmp /dev/shm > seen; ls -d /proc/[0-9]* | wc -l >> seen
                /bin/busybox ip addr show lo | grep -c inet >> seen; /bin/busybox hostname >> seen; env | sort >> seen
                sed -i '/^seen$/d' seen; cp seen /out/out
                if [ ! -e $first ]; then
                    for place in / /tmp /run /work /work/tmp /dev/shm; do touch $place/left; done
                    /bin/busybox ip addr add 10.9.8.7/8 dev lo; /bin/busybox hostname left
                    (sleep 1000 > /dev/null 2>&1 &)
                fi
                """, stage: "inputs: {first: {kind: file, optional: true}}\n")
        let recipe = try project.text("recipes/r/recipe.yaml")
        try project.write(
            "recipes/r/recipe.yaml",
            recipe.replacing("artifacts: {out: s.out}", with: "  t: {stage: own, inputs: {first: s.out}}\n")
                + "artifacts: {s: s.out, t: t.out}\n")
        let built = try project.forge("build", "r", "--jobs", "1")
        #expect(built.status == .exited(0), "\(built.errors)")
        func seen(_ name: String) throws -> [String] {
            try project.text("out/r/default/\(name)").split(separator: "\n").map(String.init)
                .filter { !$0.hasPrefix("FORGE_SEED=") }
        }
        #expect(try seen("s") == seen("t"))
        #expect(try seen("s").contains("forge"))
    }

    @Test(arguments: [SIGTERM, SIGHUP])
    func whatRunsInAShellEndsWithForge(_ signal: Int32) throws {
        try project.recipe(script: "touch /out/out")
        let bash = "stages/build-roots/root/bin/bash"
        try project.write(bash, "#!/bin/sh\nexec sh \"$@\"\n")
        try project.shell("chmod 755 \(bash)")
        let child = try Command(
            BuildProject.program, ["shell", "r", "s", "--command", "echo started; sleep 60"],
            environment: Command.plainEnvironment + [("FORGE_CACHE", project.root + "/cache")], directory: project.root,
            errors: .null
        ).start()
        var said: [UInt8] = []
        while !String(decoding: said, as: UTF8.self).contains("started") {
            try #require(try child.reap() == nil)
            said += try child.readOutput() ?? []
            usleep(10_000)
        }
        kill(child.pid, signal)
        #expect(try !child.drain(timeoutSeconds: 30).timedOut)
    }

    /// The next script gets a child of its own.
    @Test func aChildThatWasKilledFailsOneScript() throws {
        try project.recipe(script: "touch /out/out; echo started; sleep 60")
        let child = try Command(
            BuildProject.program, ["build", "r"],
            environment: Command.plainEnvironment + [("FORGE_CACHE", project.root + "/cache")], directory: project.root
        ).start()
        let log = "cat \(project.root)/cache/logs/*.log 2>/dev/null | grep -q started"
        try project.shell("until \(log); do sleep 0.05; done; pkill -9 -P \(child.pid)")
        let (report, _) = try child.drain()
        #expect(report.status == .exited(6))
        try project.recipe(script: "echo well > /out/out")
        #expect(try project.forge("build", "r").status == .exited(0))
    }

    @Test func whereNothingIsPrintedThereIsNoLog() throws {
        try project.recipe(script: "echo x > /out/out")
        #expect(try project.forge("build", "r").status == .exited(0))
        #expect(try project.shell("ls -A cache/logs") == "")
        let said = try project.forge("log", "r", "s")
        #expect(said.status == .exited(0))
        #expect(said.errors.contains("log of r/s, build #1: there is none; it printed nothing"), "\(said.errors)")
        let json = try project.forge("log", "r", "s", "--json").json
        #expect(json["file"] == .null && json["text"] == .string(""))
        // What was printed before is not what this run has printed.
        try project.recipe(script: "echo words; echo x > /out/out")
        _ = try project.forge("build", "r")
        #expect(try project.forge("log", "r", "s").output == "words\n")
        try project.recipe(script: "echo x > /out/out")
        _ = try project.forge("build", "r")
        #expect(try project.forge("log", "r", "s").output == "")
    }

    // MARK: What stays and what does not

    /// Directories of the output that hold nothing but directories are looked at, too.
    @Test func aStrangerAnywhereInTheOutputIsFound() throws {
        try project.recipe(script: "echo x > /out/out")
        try project.shell("sed -i 's|artifacts: {out:|artifacts: {a/b/out:|' recipes/r/recipe.yaml")
        for _ in 0..<3 { #expect(try project.forge("build", "r").status == .exited(0)) }
        for place in ["", "a/", "a/b/"] {
            SystemTime.sleep(milliseconds: 50)
            try project.write("out/r/default/\(place)stranger", "x")
            #expect(try project.forge("build", "r").status == .exited(0))
            #expect(!Files.exists("\(project.root)/out/r/default/\(place)stranger"), "\(place)")
        }
    }

    /// As with the packages of a lock: others may drop what the recipe still names.
    @Test func whatARecipeTakesFromOutsideIsNotCollected() throws {
        try project.shell(
            """
            mkdir -p web; echo fetched > web/data.txt
            git init -q repo; cd repo; echo committed > file; git add .
            git -c user.name=a -c user.email=a@b commit -qm x; git rev-parse HEAD > ../commit
            """)
        let commit = try project.text("commit").split(separator: "\n").map(String.init)[0]
        func write(_ word: String) throws {
            try project.recipe(
                script: "cat /in/file /in/repo/file > /out/out; echo \(word)",
                stage: "inputs: {file: {kind: file}, repo: {kind: tree}}\n",
                instance: """
                        inputs:
                          file: {url: "file://\(project.root)/web/data.txt", sha256: \(Digest.of("fetched\n").hex)}
                          repo: {git: "file://\(project.root)/repo", commit: \(commit)}

                    """)
        }
        try write("one")
        #expect(try project.forge("build", "r").status == .exited(0))
        try project.shell("rm -rf web repo")
        #expect(try project.forge("cache", "gc", "--max-size", "0").status == .exited(0))
        try write("two")
        let again = try project.forge("build", "r", "--json", "--offline")
        #expect(again.json["ran"] == .int(2) && again.json["hit"] == .int(2), "\(again.output) \(again.errors)")
        let pin = "\(project.root)/recipes/r/recipe.yaml"
        #expect(try project.forge("cache", "pins").output.contains(pin))
        // With the recipe goes what it keeps.
        try project.shell("rm -rf recipes/r")
        _ = try project.forge("cache", "gc", "--max-size", "0")
        #expect(try !project.forge("cache", "pins").output.contains(pin))
    }

    // MARK: What is not declared

    func expect(_ text: String, endsWith end: String) throws { #expect(text.hasSuffix(end), "\(text)") }

    /// The folder of the project in a message, shortened.
    func shortened(_ text: String) -> String {
        text.split(separator: project.root, omittingEmptySubsequences: false).joined(separator: "ROOT")
    }

    @Test(arguments: ["cat files/motd.txt", "cat ./files/motd.txt > /out/out", "sort < /work/files/motd.txt"])
    func aFileOfTheRecipeThatIsNotDeclaredIsNamed(_ script: String) throws {
        try project.write("recipes/r/files/motd.txt", "hello")
        try project.recipe(script: script)
        let error = try project.failure()
        #expect(
            error.hasSuffix(
                """
                files/motd.txt is not in the sandbox: it is a file of the recipe that the stage does not declare
                  in recipes/r/stages/own/stage.yaml:  inputs: {motd: {kind: file}}
                  in recipes/r/recipe.yaml, stage “s”:  inputs: {motd: {path: files/motd.txt}}
                  in its script:  /in/motd
                  → declare it as an input, as above
                """), "\(error)")
        // The advice is right: done as it says, it builds.
        try project.recipe(
            script: "cat /in/motd > /out/out", stage: "inputs: {motd: {kind: file}}\n",
            instance: "    inputs: {motd: {path: files/motd.txt}}\n")
        #expect(try project.forge("build", "r").status == .exited(0))
    }

    @Test func aFileOfTheHostIsNamed() throws {
        try project.write("outside/data.csv", "x")
        try project.recipe(script: "cp \(project.root)/outside/data.csv /out/out")
        try expect(
            shortened(try project.failure()),
            endsWith:
                """
                  ROOT/outside/data.csv is not in the sandbox: nothing of this machine is, but what the stage declares
                  copy it below recipes/r/ first
                  in recipes/r/stages/own/stage.yaml:  inputs: {data: {kind: file}}
                  in recipes/r/recipe.yaml, stage “s”:  inputs: {data: {path: data.csv}}
                  in its script:  /in/data
                  → declare it as an input, as above
                """)
        // Beside the recipe, reached by “..”.
        try project.recipe(script: "cat ../../outside/data.csv > /out/out")
        #expect(
            try project.failure().contains("../../outside/data.csv is not in the sandbox: nothing of this machine is"))
    }

    @Test func anInputThatTheStageDoesNotDeclareIsNamed() throws {
        try project.recipe(script: "cat /in/extra/x > /out/out")
        try expect(
            try project.failure(),
            endsWith:
                """
                  /in/extra is not in the sandbox: stage “own” declares no input “extra”
                  → declare it in recipes/r/stages/own/stage.yaml (inputs: {extra: {kind: file}}) and give it in recipes/r/recipe.yaml
                """)
        try project.recipe(script: "cat /in/extra > /out/out", stage: "inputs: {extra: {kind: file, optional: true}}\n")
        #expect(try project.failure().contains("the input is optional, and the recipe does not give it"))
    }

    @Test func aProgramThatTheBuildRootLacksIsNamedWithItsPackage() throws {
        try project.recipe(script: "cmake --version")
        try expect(
            try project.failure(),
            endsWith:
                """
                  “cmake” is not in the sandbox: build root “tools” has no such program
                  Debian's package cmake has it
                  → add cmake to the packages in stages/build-roots/tools.yaml, then run `forge lock r`
                """)
        try project.recipe(script: "env no-such-program-anywhere")
        #expect(try project.failure().contains("“no-such-program-anywhere” is not in the sandbox"))
    }

    @Test func aScriptWhoseInterpreterIsMissingSaysSo() throws {
        try project.recipe(script: "")
        try project.write("recipes/r/stages/own/run", "#!/usr/bin/python3 -B\nprint(1)\n")
        let error = try project.failure()
        #expect(error.contains("“python3” is not in the sandbox: build root “tools” has no such program"), "\(error)")
    }

    @Test func aScriptThatWantsTheNetworkIsToldHowToDeclareIt() throws {
        try project.recipe(script: "wget -q https://example.org/data/logo.png -O /out/out")
        try expect(
            try project.failure(),
            endsWith:
                """
                  scripts have no network: example.org can't be reached from the sandbox
                  in recipes/r/stages/own/stage.yaml:  inputs: {source: {kind: file}}
                  in recipes/r/recipe.yaml, stage “s”:  inputs: {source: {url: "https://example.org/…", sha256: …}}
                  in its script:  /in/source
                  → declare what it downloads as an input; `forge hash https://example.org/…` prints its sha256
                """)
    }

    /// A failure that has nothing to do with the sandbox gets no advice of that kind.
    @Test(arguments: [
        "echo wrong; exit 3", "cat nowhere/at/all", "grep x /proc/version-not", "echo 'motd: not found'; exit 1",
    ])
    func otherFailuresAreLeftAlone(_ script: String) throws {
        try project.recipe(script: script)
        let error = try project.failure()
        #expect(
            !error.contains("not in the sandbox") && !error.contains("no network")
                && error.contains("→ look around in its sandbox: forge shell r s"), "\(error)")
    }
}
