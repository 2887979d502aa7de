import ForgeBase
import Glibc
import Testing

@testable import ForgeSystem

@Suite struct SandboxTests {
    let lab: Lab
    let lower: String
    let scratch: String

    init() throws {
        lab = try Lab()
        lower = try lab.root("lower")
        scratch = try lab.directory("scratch")
        try Files.write(lower + "/etc/old", "old\n", mode: 0o666)
        chmod(lower + "/etc/old", 0o666)
    }

    private func run(
        _ person: Person, _ script: String, _ options: [String] = []
    ) throws -> (code: Int32, text: String) {
        // What belongs to nobody in the namespace could not be changed in it.
        if person == .ordinary { for path in ["", "/etc", "/etc/old"] { chown(lower + path, Person.uid, Person.uid) } }
        return try lab.sandbox(
            person, ["lower=\(lower)", "scratch=\(scratch)", "ro=/usr:/usr"] + options, ["/bin/sh", "-c", script])
    }

    @Test(arguments: Person.able) func changesGoToTheScratchAndStayThere(_ person: Person) throws {
        #expect(try run(person, "echo new >/etc/new; rm /etc/old; ls /etc").text == "new\n")
        #expect(try Files.list(lower + "/etc") == ["old"])
        #expect(try Files.read(lower + "/etc/old") == Array("old\n".utf8))
        #expect(try Files.read(scratch + "/upper/etc/new") == Array("new\n".utf8))
        #expect(try run(person, "cat /etc/new").text == "new\n")
    }

    @Test(arguments: Person.able) func aDirectoryIsChangedInPlace(_ person: Person) throws {
        let (code, text) = try lab.sandbox(
            person, ["directory=\(lower)", "ro=/usr:/usr"],
            ["/bin/sh", "-c", "echo new >/etc/new; chown 7:8 /etc/new; exit 3"])
        #expect((code, text) == (3, ""))
        #expect(try Files.list(lower + "/etc") == ["new", "old"])
        if person == .me && geteuid() == 0 { #expect(try Files.status(lower + "/etc/new")?.uid == 7) }
    }

    @Test(arguments: Person.able) func upperLayersCoverLowerOnes(_ person: Person) throws {
        let top = try lab.directory("top:, layer")
        try Files.makeDirectories(top + "/etc")
        try Files.write(top + "/etc/old", "top\n")
        let (_, text) = try lab.sandbox(
            person, ["lower=\(top)", "lower=\(lower)", "scratch=\(scratch)", "ro=/usr:/usr"], ["/bin/cat", "/etc/old"])
        #expect(text == "top\n")
    }

    @Test(arguments: Person.able) func readOnlyBindsAreReadOnlyAndOthersAreNot(_ person: Person) throws {
        let source = try lab.directory("source")
        let out = try lab.directory("out")
        try Files.write(source + "/file", "data\n")
        chmod(source + "/file", 0o666)
        let script = """
            cat /in/src/file
            touch /in/src/x; echo y >/in/src/file; mount -o remount,rw,bind /in/src; echo z >/out/z; cat /one
            """
        let (_, text) = try run(person, script, ["ro=\(source):/in/src", "rw=\(out):/out", "ro=\(source)/file:/one"])
        #expect(text.contains("data\n"))
        #expect(text.contains("cannot touch '/in/src/x': Read-only file system"))
        #expect(text.hasSuffix("data\n"))
        #expect(try Files.read(source + "/file") == Array("data\n".utf8))
        #expect(try Files.list(source) == ["file"])
        #expect(try Files.list(out) == ["z"])
    }

    @Test(arguments: Person.able) func mountsBelowAReadOnlyBindAreReadOnlyToo(_ person: Person) throws {
        let source = try lab.directory("source")
        let below = try lab.directory("source/below")
        let words = ["sandbox", "lower=\(lower)", "scratch=\(scratch)", "ro=/usr:/usr", "ro=\(source):/in", "--"]
        let command = ([Lab.probe] + words + ["/bin/touch", "/in/below/x"]).map(\.shellQuoted).joined(separator: " ")
        let (_, text) = try lab.shell(person, "mount -t tmpfs none \(below) && \(command)")
        #expect(text.contains("Read-only file system"))
    }

    @Test(arguments: Person.able) func theProgramSeesOnlyWhatItWasGiven(_ person: Person) throws {
        #expect(try run(person, "ls /").text == "bin\ndev\netc\nlib\nlib64\nproc\nrun\nsbin\ntmp\nusr\n")
        #expect(try run(person, "ls /tmp /run; stat -c %a /tmp /run").text == "/run:\n\n/tmp:\n1777\n755\n")
        #expect(
            try run(person, "ls /dev").text
                == "fd\nfull\nnull\nptmx\npts\nrandom\nshm\nstderr\nstdin\nstdout\ntty\nurandom\nzero\n")
        #expect(
            try run(person, "cat /proc/1/comm; set -- /proc/[0-9]*; echo $#; uname -n").text
                == "forge-reaper\n2\nforge\n"
        )
        #expect(
            try run(person, "env -i /usr/bin/env; tail -n +3 /proc/net/dev | cut -d: -f1 | tr -d ' '").text == "lo\n")
        #expect(try run(person, "ls /proc/self/fd").text == "0\n1\n2\n3\n")
    }

    @Test(arguments: Person.able) func devicesWork(_ person: Person) throws {
        let script = """
            echo x >/dev/null; head -c 3 /dev/zero | wc -c; head -c 5 /dev/urandom | wc -c
            echo x 2>&1 >/dev/full | grep -o 'space\\|I/O'; (echo y >/dev/stdout) | cat; cat /dev/fd/0 </etc/old
            touch /dev/shm/x && script -qec 'tty' /dev/null </dev/null
            """
        let (_, text) = try run(person, script)
        #expect(text.contains("3\n5\n"))
        #expect(text.contains("y\nold\n"))
        #expect(text.contains("/dev/pts/0"))
    }

    @Test(arguments: Person.able) func thereIsNoWayBackToTheHost(_ person: Person) throws {
        let marker = try lab.write("marker", "host\n")
        chmod(marker, 0o666)
        guard Host.findProgram("perl") != nil else { return }
        let script = """
            m=\(marker)
            cat $m; cat /proc/1/root$m; cat /proc/1/cwd/../../../../$m; cat /proc/self/root/../../$m
            for i in 1 2 3; do umount -l / 2>/dev/null; umount -l /.. 2>/dev/null; done; cat $m
            nsenter -t 1 -m cat $m
            perl -e 'mkdir "/tmp/j"; chroot "/tmp/j"; chdir "../" x 20 for 1..50; chroot "."; open F, "'$m'" and print <F>'
            mknod /tmp/disk b \(diskNumbers()) && head -c 1 /tmp/disk | wc -c
            mount -t devtmpfs none /dev && ls /dev/mem
            echo end
            """
        let (_, text) = try run(person, script + " 2>/dev/null")
        let last = text.split(separator: "\n").last
        #expect(last == "end")
        #expect(!text.contains("host"))
        #expect(!text.contains("/dev/mem\n"))
    }

    /// Major and minor of the disk that has `/tmp`.
    private func diskNumbers() -> String {
        var info = stat()
        stat("/tmp", &info)
        return "\(info.st_dev >> 8 & 0xfff) \(info.st_dev & 0xff)"
    }

    @Test(arguments: Person.able) func linksInTheRootLeadNoMountOutOfIt(_ person: Person) throws {
        let victim = try lab.directory("victim")
        let source = try lab.directory("source")
        symlink(victim, lower + "/run")
        symlink(victim, lower + "/dev")
        symlink("../../../../../../../../../.." + victim, lower + "/in")
        let (code, text) = try run(person, "ls -d /in/src && readlink /run", ["ro=\(source):/in/src"])
        // The links dangle in the root, so the sandbox can't be made; above all nothing appeared outside.
        #expect(code != 0, "\(text)")
        #expect(try Files.list(victim).isEmpty)
    }

    @Test(arguments: Person.able) func nothingOutlivesTheProgram(_ person: Person) throws {
        let sleep = uniqueSleep()
        let (code, text) = try run(person, "setsid sleep \(sleep) & (sleep \(sleep) &); sleep 0.1; echo done; exit 2")
        #expect((code, text) == (2, "done\n"))
        #expect(try processes(with: "sleep\0\(sleep)").isEmpty)
    }

    @Test func aProgramThatTakesTooLongIsStoppedWithAllItsChildren() throws {
        let sleep = uniqueSleep()
        let (code, text) = try run(.me, "setsid sleep \(sleep) & sleep \(sleep)", ["timeout=0.3"])
        #expect(code == ExitCode.stageFailed.rawValue)
        #expect(text.contains("/bin/sh ran longer than 0.3 s and was stopped"))
        #expect(try processes(with: "sleep\0\(sleep)").isEmpty)
    }

    @Test(arguments: Person.able) func theNetworkIsThereOnlyWhereItIsAskedFor(_ person: Person) throws {
        func networkName(_ options: [String]) throws -> String {
            let words = ["lower=\(lower)", "scratch=\(scratch)", "ro=/usr:/usr"] + options
            let program = ["/bin/sh", "-c", "readlink /proc/self/ns/net"]
            return try lab.probe(person, ["network", Lab.probe, "sandbox"] + words + ["--"] + program).text
        }
        let host = String(decoding: try Command("readlink", ["/proc/self/ns/net"]).run().output, as: UTF8.self)
        #expect(try networkName(["network"]) == host)
        let own = try networkName([])
        #expect(own.hasPrefix("net:[") && own != host)
    }

    @Test func statusesAndMissingProgramsAreTold() throws {
        #expect(try run(.me, "kill -9 $$").code == 137)
        #expect(try run(.me, "exit 255").code == 255)
        let (code, text) = try lab.sandbox(
            .me, ["lower=\(lower)", "scratch=\(scratch)", "ro=/usr:/usr"], ["/usr/bin/no-such-program"])
        #expect(code == ExitCode.stageFailed.rawValue)
        #expect(text.contains("cannot run /usr/bin/no-such-program: No such file or directory"))
    }

    @Test func optionsForMaintainerScriptsAndStages() throws {
        let script = "grep NoNewPrivs /proc/self/status; cat /proc/self/personality"
        #expect(try run(.me, script).text == "NoNewPrivs:\t0\n00040000\n")
        #expect(try run(.me, script, ["strict"]).text == "NoNewPrivs:\t1\n00040000\n")
        try Files.makeDirectories(lower + "/tmp")
        try Files.write(lower + "/tmp/kept", "")
        #expect(try run(.me, "ls /tmp", ["keep"]).text == "kept\n")
        #expect(try run(.me, "ls /tmp").text == "")
    }

    @Test func anOverlayOnAnOverlayIsExplained() throws {
        let mounted = try lab.directory("mounted")
        for name in ["a", "b", "c"] { _ = try lab.directory(name) }
        let command = "\(Lab.probe) sandbox lower=\(lower) scratch=\(mounted)/s ro=/usr:/usr -- /bin/true"
        let (code, text) = try lab.shell(
            .me,
            "cd \(lab.path) && mount -t overlay overlay -o lowerdir=a,upperdir=b,workdir=c,userxattr mounted && \(command)"
        )
        #expect(code == ExitCode.unsupportedHost.rawValue)
        #expect(text.contains("is itself on an overlay"))
        #expect(text.contains("--cache DIR"))
    }

    @Test func whatIsMissingIsNamed() throws {
        let missing = try run(.me, "true", ["ro=/no/such/input:/in/x"])
        #expect(missing.text.contains("cannot bind /no/such/input: No such file or directory"))
        let root = try lab.sandbox(.me, ["directory=/no/root"], ["/bin/true"])
        #expect(root.text.contains("the root of the sandbox is no directory: /no/root"))
    }
}

@Suite struct RemovalTests {
    @Test(arguments: Person.able) func treesOfOtherIdsAreRemoved(_ person: Person) throws {
        let lab = try Lab()
        let home = try lab.directory("home")
        let tree = home + "/tree"
        let (code, text) = try lab.shell(
            person,
            """
            umask 077; mkdir -p \(tree)/a/b && cd \(tree) && touch a/b/c && chown -R 33:33 a && chmod 0 a/b
            printf x >"$(printf 'bad\\377name')"; ln -s / root; mkfifo fifo
            """)
        #expect((code, text) == (0, ""))
        let removed = try lab.probe(person, ["remove", tree])
        #expect((removed.code, removed.text) == (0, ""))
        #expect(try Files.list(home).isEmpty)
        #expect(Files.exists("/etc/passwd"))
    }

    @Test func largeTreesGoAndLinksAreNotFollowed() throws {
        let lab = try Lab()
        let kept = try lab.write("kept", "x")
        let tree = try lab.directory("tree")
        for number in 0..<3000 { close(creat("\(tree)/file-with-a-rather-long-name-\(number)", 0o600)) }
        for number in 0..<300 { mkdir("\(tree)/empty-directory-\(number)", mode_t(number % 2 == 0 ? 0o700 : 0)) }
        var deep = tree
        for _ in 0..<200 { deep += "/d" }
        try Files.makeDirectories(deep)
        symlink(lab.path, tree + "/link")
        try Files.remove(tree)
        #expect(!Files.exists(tree))
        #expect(Files.exists(kept))
        try Files.remove(tree)
    }
}
