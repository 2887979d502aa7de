import ForgeBase
import ForgeStore
import ForgeSystem
import Testing

@testable import ForgeStages

/// The stage with real packages, real dpkg and a real sandbox.
@Suite struct RootfsTests {
    let mini: MiniDistribution

    init() throws { mini = try MiniDistribution() }

    private func strings(_ texts: [String]) -> JSON { .array(texts.map(JSON.string)) }

    @Test func packagesAreInstalledAsDpkgWould() throws {
        try mini.add(
            "tool", fields: ["Depends: helper"],
            files:
                "mkdir -p bin etc usr/share/things; echo tool > bin/tool; echo a=1 > etc/tool.conf; : > usr/share/things/t",
            control: [
                ("conffiles", "/etc/tool.conf"),
                (
                    "preinst",
                    "[ \"$1\" = install ]; [ $# = 1 ]; [ ! -e /bin/tool ]; echo \"$DPKG_MAINTSCRIPT_PACKAGE\" > /var/log/pre"
                ),
                ("postinst", "[ \"$1\" = configure ]; [ -e /var/lib/helped ]; cp /etc/tool.conf /var/lib/tool.seen"),
            ])
        try mini.add("helper", control: [("postinst", "id -u > /var/lib/helped")])
        let built = try mini.build()
        // Through the link /bin, while dpkg's list keeps the path as shipped.
        #expect(built.tree["bin"]?.kind == .symlink("usr/bin"))
        #expect(try built.text("usr/bin/tool") == "tool\n")
        #expect(try built.text("var/lib/dpkg/info/tool.list")?.contains("\n/bin/tool\n") == true)
        #expect(try built.text("etc/tool.conf") == "a=1\n")
        #expect(try built.text("var/lib/tool.seen") == "a=1\n")
        #expect(try built.text("var/lib/helped") == "0\n")
        // The file trigger of a package that was configured before.
        #expect(try built.text("var/lib/things") == "t\n")
        let status = try #require(try built.text("var/lib/dpkg/status"))
        #expect(status.components("Status: install ok installed") == 4)
        #expect(status.contains("\n /etc/tool.conf "))
        #expect(!status.contains("newconffile"))
        #expect(try built.text("etc/machine-id") == "")
        #expect(built.tree["usr/sbin/policy-rc.d"] == nil)
        #expect(built.tree["var/log/pre"] == nil)
        #expect(built.provides.compactMap { $0["name"]?.string } == ["base-passwd", "dpkg", "helper", "tool"])
    }

    @Test func nothingButThePackagesDecides() throws {
        try mini.add(
            "a", files: "mkdir -p usr/share/a; seq 1 100 > usr/share/a/numbers",
            control: [("postinst", "echo $SOURCE_DATE_EPOCH > /var/lib/a; touch /var/log/a.log /run/a /tmp/a")])
        let first = try mini.build(jobs: 1)
        let second = try mini.build(jobs: 4, scratch: "a-longer/name")
        #expect(first.tree == second.tree)
        #expect(first.tree["run/a"] == nil)
        #expect(try first.text("etc/shadow")?.hasPrefix("root:*:19675:") == true)
        if Files.exists("/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1") {
            #expect(try mini.build(clockOffset: "+400d").tree == first.tree)
        }
    }

    @Test func aFailingScriptIsNamedWithWhatItSaid() throws {
        try mini.add("broken", control: [("postinst", "echo all is lost; exit 3")])
        let error = try #require(throws: ForgeError.self) { try mini.build() }
        #expect(error.code == .stageFailed)
        #expect(error.message.contains("broken") && error.message.contains("3"), "\(error)")
        #expect(error.details.contains("all is lost"), "\(error)")

        try mini.add("broken", version: "2", control: [("preinst", "echo no room; exit 4"), ("postinst", "exit 0")])
        let early = try #require(throws: ForgeError.self) { try mini.build() }
        #expect(early.message.contains("preinst script of broken 2 exited with 4"), "\(early)")
        #expect(early.details.contains("no room"))
    }

    @Test func filesOfTwoPackagesNeedADeclaration() throws {
        try mini.add("one", files: "mkdir -p usr/bin; echo one > usr/bin/thing")
        try mini.add("two", files: "mkdir -p usr/bin; echo two > usr/bin/thing")
        let error = try #require(throws: ForgeError.self) { try mini.build() }
        #expect(error.message.contains("/usr/bin/thing") && error.message.contains("one 1"), "\(error)")

        try mini.add("two", fields: ["Replaces: one (<< 1)"], files: "")
        #expect(throws: ForgeError.self) { try mini.build() }

        try mini.add("two", fields: ["Replaces: one (<< 2)"], files: "")
        let built = try mini.build()
        #expect(try built.text("usr/bin/thing") == "two\n")
        #expect(try built.text("var/lib/dpkg/info/one.list")?.contains("thing") == false)
        #expect(try built.text("var/lib/dpkg/info/two.list")?.contains("/usr/bin/thing\n") == true)
    }

    @Test func theSameFileByTwoSpellingsIsOneFile() throws {
        try mini.add("one", files: "mkdir -p bin; echo one > bin/thing")
        try mini.add("two", files: "mkdir -p usr/bin; echo two > usr/bin/thing")
        #expect(throws: ForgeError.self) { try mini.build() }
    }

    @Test func diversionsAndOverridesOfPreinstScriptsHold() throws {
        try mini.add("tool", files: "mkdir -p usr/bin var/lib/tool; echo tool > usr/bin/tool; chmod 755 usr/bin/tool")
        try mini.add(
            "wrapper", files: "mkdir -p usr/bin; echo wrapper > usr/bin/tool",
            control: [
                (
                    "preinst",
                    """
                    dpkg-divert --package wrapper --add --no-rename --divert /usr/bin/tool.real /usr/bin/tool
                    dpkg-statoverride --add root mail 2750 /usr/bin/tool
                    """
                )
            ])
        let built = try mini.build()
        #expect(try built.text("usr/bin/tool") == "wrapper\n")
        #expect(try built.text("usr/bin/tool.real") == "tool\n")
        #expect(built.tree["usr/bin/tool"]?.mode == 0o2750)
        #expect(built.tree["usr/bin/tool"]?.gid == 8)
    }

    @Test func preDependsAreConfiguredBeforeAPreinstNeedsThem() throws {
        try mini.add("z-library", control: [("postinst", "echo ready > /var/lib/z")])
        try mini.add(
            "a-program", fields: ["Pre-Depends: z-library"], control: [("preinst", "[ \"$(cat /var/lib/z)\" = ready ]")]
        )
        #expect(try mini.build().text("var/lib/z") == "ready\n")
    }

    @Test func anExistingDirectoryKeepsItsOwnerAndMode() throws {
        try mini.add("a", files: "mkdir -p srv/shared; chmod 2775 srv/shared; : > srv/shared/a")
        try mini.add("b", files: "mkdir -p srv/shared; chmod 700 srv/shared; : > srv/shared/b")
        let built = try mini.build()
        #expect(built.tree["srv/shared"]?.mode == 0o2775)
        #expect(built.tree["srv/shared/b"] != nil)
    }

    @Test func excludedFilesAreNeverPlaced() throws {
        try mini.add(
            "docs",
            files:
                "mkdir -p usr/share/doc/docs; cd usr/share/doc/docs; echo c > copyright; echo r > README; cd ../../../..",
            control: [("postinst", "[ ! -e /usr/share/doc/docs/README ]")])
        let built = try mini.build([("exclude", strings(["/usr/share/doc/*"]))])
        #expect(try built.text("usr/share/doc/docs/copyright") == "c\n")
        #expect(built.tree["usr/share/doc/docs/README"] == nil)
        #expect(try built.text("var/lib/dpkg/info/docs.list")?.contains("/usr/share/doc/docs/README") == true)
        let bare = try mini.build([("exclude", strings(["/usr/share/doc/*"])), ("keep-copyright", .bool(false))])
        #expect(bare.tree["usr/share/doc/docs"] == nil)
    }

    @Test func theRecipesSettingsAreApplied() throws {
        let key = "ssh-ed25519 AAAA admin"
        let built = try mini.build([
            ("hostname", .string("node-1")), ("root-password", .string("empty")),
            ("groups", .array([.object([("name", .string("ops")), ("gid", .int(2000))])])),
            (
                "users",
                .array([
                    .object([
                        ("name", .string("admin")), ("groups", strings(["ops", "adm"])),
                        ("authorized-keys", strings([key])),
                    ])
                ])
            ),
            (
                "files",
                .array([
                    .object([
                        ("path", .string("/etc/motd")), ("content", .string("hello\n")), ("mode", .string("0600")),
                    ]),
                    .object([
                        ("path", .string("/srv/data")), ("directory", .bool(true)), ("owner", .string("admin")),
                        ("group", .string("ops")), ("mode", .string("2770")),
                    ]),
                    .object([("path", .string("/bin/t")), ("link", .string("/usr/bin/touch"))]),
                ])
            ),
            ("run", strings(["echo $(cat /etc/hostname) > /srv/data/ran"])),
            ("remove", strings(["/usr/share/th*"])),
        ])
        #expect(try built.text("etc/hostname") == "node-1\n")
        #expect(try built.text("etc/passwd")?.contains("\nadmin:x:1000:1000::/home/admin:/bin/bash\n") == true)
        #expect(try built.text("etc/group")?.contains("\nops:x:2000:admin\n") == true)
        #expect(try built.text("etc/group")?.contains("\nadm:x:4:admin\n") == true)
        #expect(try built.text("etc/shadow") == "root::19675:0:99999:7:::\nadmin:!:19675:0:99999:7:::\n")
        #expect(built.tree["etc/shadow"]?.mode == 0o640)
        #expect(try built.text("home/admin/.ssh/authorized_keys") == key + "\n")
        #expect(
            built.tree["home/admin/.ssh"] == TreeEntry("home/admin/.ssh", .directory, mode: 0o700, uid: 1000, gid: 1000)
        )
        #expect(built.tree["etc/motd"]?.mode == 0o600)
        #expect(built.tree["srv/data"] == TreeEntry("srv/data", .directory, mode: 0o2770, uid: 1000, gid: 2000))
        #expect(built.tree["usr/bin/t"]?.kind == .symlink("/usr/bin/touch"))
        #expect(try built.text("srv/data/ran") == "node-1\n")
        #expect(built.tree["usr/share/things"] == nil)
    }

    @Test func badSettingsSayWhy() throws {
        func message(_ options: [(String, JSON)]) throws -> String {
            try #require(throws: ForgeError.self) { try mini.build(options) }.description
        }
        #expect(try message([("root-password", .string("secret"))]).contains("no hash of a password"))
        #expect(try message([("remove", strings(["/no/such"]))]).contains("matches nothing"))
        #expect(try message([("run", strings(["echo oh no; exit 9"]))]).contains("oh no"))
        #expect(try message([("timezone", .string("Mars/Olympus"))]).contains("no time zone"))
        let user = JSON.object([("name", .string("admin")), ("groups", strings(["addm"]))])
        #expect(try message([("users", .array([user]))]).contains("did you mean “adm”"))
    }

    @Test func aSetWithoutDpkgIsNoSystem() throws {
        try mini.shell("rm debs/dpkg.deb")
        let error = try #require(throws: ForgeError.self) { try mini.build() }
        #expect(error.message.contains("dpkg is not among them"))
    }
}

extension String {
    /// How often a text occurs.
    fileprivate func components(_ text: String) -> Int {
        split(separator: text, omittingEmptySubsequences: false).count - 1
    }
}
