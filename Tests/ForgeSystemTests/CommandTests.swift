import ForgeBase
import Glibc
import Testing

@testable import ForgeSystem

@Suite struct CommandTests {
    static let kinds: [Namespaces] = [.none, .private(network: false), .private(network: true)]

    private func shell(_ script: String, _ namespaces: Namespaces = .none) -> Command {
        Command("/bin/sh", ["-c", script], namespaces: namespaces)
    }

    @Test(arguments: kinds) func exitCodesAreExact(_ kind: Namespaces) throws {
        for code: Int32 in [0, 1, 3, 127, 255] {
            #expect(try shell("exit \(code)", kind).run().report.status == .exited(code))
        }
    }

    @Test(arguments: kinds) func signalsAreTold(_ kind: Namespaces) throws {
        #expect(try shell("kill -9 $$", kind).run().report.status == .signalled(SIGKILL))
        #expect(try shell("kill -15 $$", kind).run().report.status == .signalled(SIGTERM))
        #expect(ExitReport.Status.signalled(9).description == "was killed by signal 9 (Killed)")
    }

    @Test(arguments: kinds) func moreThanAPipeOfOutputArrivesWhole(_ kind: Namespaces) throws {
        let output = try shell("head -c 3000000 /dev/zero; head -c 100000 /dev/zero >&2", kind).run().output
        #expect(output.count == 3_100_000)
    }

    @Test func theLimitDropsTheRestAndTheProgramStillEnds() throws {
        let (report, output) = try shell("head -c 3000000 /dev/zero; exit 4").run(limit: 1000)
        #expect(report.status == .exited(4))
        #expect(output.count == 1000)
    }

    @Test func standardErrorCanBeByItself() throws {
        var command = shell("echo out; echo err >&2")
        command.errors = .pipe
        let (_, output, errors) = try command.runSeparately()
        #expect(String(decoding: output, as: UTF8.self) == "out\n")
        #expect(String(decoding: errors, as: UTF8.self) == "err\n")
    }

    @Test(arguments: kinds) func inputOfAnySizeIsRead(_ kind: Namespaces) throws {
        var command = Command("cksum", input: .bytes([UInt8](repeating: 65, count: 1 << 20)), namespaces: kind)
        #expect(String(decoding: try command.run().output, as: UTF8.self).hasSuffix(" 1048576\n"))
        command.input = .null
        #expect(String(decoding: try command.run().output, as: UTF8.self) == "4294967295 0\n")
    }

    @Test(arguments: kinds) func eventsComeOnDescriptorThree(_ kind: Namespaces) throws {
        var command = shell("echo hello >&3", kind)
        command.events = true
        let child = try command.start()
        _ = try Poller.wait(fds: [child.events], timeoutMilliseconds: 10_000)
        #expect(try child.readEvents() == Array("hello\n".utf8))
        #expect(try child.drain().report.succeeded)
        // Other tests' children may hold copies of the pipe until they have started.
        #expect(try eventually { try child.readEvents() == nil })
        #expect(child.events == -1)
    }

    @Test(arguments: kinds) func noOtherDescriptorIsInherited(_ kind: Namespaces) throws {
        // Without O_CLOEXEC, low and high.
        let low = open("/etc/passwd", O_RDONLY)
        let high = fcntl(low, F_DUPFD, 500)
        defer {
            close(low)
            close(high)
        }
        var command = Command("ls", ["/proc/self/fd"], namespaces: kind)
        #expect(String(decoding: try command.run().output, as: UTF8.self) == "0\n1\n2\n3\n", "3 is the listing itself")
        command.events = true
        #expect(String(decoding: try command.run().output, as: UTF8.self) == "0\n1\n2\n3\n4\n")
    }

    @Test(arguments: kinds) func environmentAndDirectoryAreExactlyAsGiven(_ kind: Namespaces) throws {
        var command = Command(
            "/usr/bin/env", environment: [("B", "2"), ("A", "x=y é")], directory: "/usr/bin", namespaces: kind)
        #expect(String(decoding: try command.run().output, as: UTF8.self) == "B=2\nA=x=y é\n")
        command.executable = "/bin/pwd"
        #expect(String(decoding: try command.run().output, as: UTF8.self) == "/usr/bin\n")
        command.directory = nil
        #expect(String(decoding: try command.run().output, as: UTF8.self) == "/\n")
    }

    @Test(arguments: kinds) func signalsAndLimitsStartAfresh(_ kind: Namespaces) throws {
        signal(SIGUSR2, SIG_IGN)
        var core = rlimit()
        getrlimit(Int32(RLIMIT_CORE.rawValue), &core)
        core.rlim_cur = core.rlim_max
        setrlimit(Int32(RLIMIT_CORE.rawValue), &core)
        let text = String(
            decoding: try shell("cat /proc/self/status | grep -E '^Sig(Blk|Ign|Cgt)'; umask; ulimit -c", kind).run()
                .output,
            as: UTF8.self)
        let zero = "0000000000000000"
        #expect(text == "SigBlk:\t\(zero)\nSigIgn:\t\(zero)\nSigCgt:\t\(zero)\n0022\n0\n")
    }

    @Test(arguments: kinds) func aProgramThatCannotRunIsExplained(_ kind: Namespaces) throws {
        let lab = try Lab()
        let missing = #expect(throws: ForgeError.self) { try Command(lab.path + "/none", namespaces: kind).run() }
        #expect(missing?.message == "cannot run \(lab.path)/none: No such file or directory")
        let text = try lab.write("text", "no program\n")
        let denied = #expect(throws: ForgeError.self) { try Command(text, namespaces: kind).run() }
        #expect(denied?.message == "cannot run \(text): Permission denied")
        #expect(denied?.details.first?.hasPrefix("it is not executable") == true)
        let script = try lab.write("script", "#!/no/interpreter\n", mode: 0o755)
        let broken = #expect(throws: ForgeError.self) { try Command(script, namespaces: kind).run() }
        #expect(broken?.details.first?.contains("interpreter") == true)
        let nowhere = #expect(throws: ForgeError.self) {
            try Command("/bin/true", directory: "/no/where", namespaces: kind).run()
        }
        #expect(nowhere?.message == "cannot run /bin/true in /no/where: No such file or directory")
    }

    @Test func aProgramThatIsNotInstalledIsExplained() throws {
        let error = #expect(throws: ForgeError.self) { try Command("no-such-program").run() }
        #expect(error?.code == .unsupportedHost)
        #expect(error?.message == "the program no-such-program is not installed")
        #expect(error?.remedy != nil)
    }

    @Test(arguments: kinds) func killEndsTheWholeTree(_ kind: Namespaces) throws {
        let sleep = uniqueSleep()
        let child = try shell("(sleep \(sleep) & sleep \(sleep)) & sleep \(sleep); echo never", kind).start()
        #expect(try eventually { try processes(with: "sleep\0\(sleep)").count == 3 })
        #expect(try child.reap() == nil)
        child.kill()
        #expect(try child.drain().report.status == .signalled(SIGKILL))
        #expect(try eventually { try processes(with: "sleep\0\(sleep)").isEmpty })
    }

    @Test(arguments: kinds) func terminateLetsTheProgramSayGoodbye(_ kind: Namespaces) throws {
        let child = try shell("trap 'echo bye; exit 5' TERM; echo ready; while :; do sleep 0.05; done", kind).start()
        _ = try Poller.wait(fds: [child.output], timeoutMilliseconds: 10_000)
        #expect(try child.readOutput() == Array("ready\n".utf8))
        child.terminate()
        var output: [UInt8] = []
        let (report, _) = try child.drain { bytes, _ throws(ForgeError) in output += bytes }
        #expect(report.status == .exited(5))
        #expect(String(decoding: output, as: UTF8.self).hasSuffix("bye\n"))
    }

    @Test(arguments: kinds) func whatIsLeftInTheBackgroundDiesAndHoldsNothingUp(_ kind: Namespaces) throws {
        let sleep = uniqueSleep()
        let (report, output) = try shell("sleep \(sleep) & sleep 0.2; echo done", kind).run(timeoutSeconds: 30)
        #expect(report.succeeded)
        #expect(output == Array("done\n".utf8))
        #expect(try eventually { try processes(with: "sleep\0\(sleep)").isEmpty })
    }

    @Test(arguments: kinds) func aProgramThatTakesTooLongIsStopped(_ kind: Namespaces) throws {
        let start = SystemTime().monotonic()
        let error = #expect(throws: ForgeError.self) { try shell("sleep 60", kind).run(timeoutSeconds: 0.2) }
        #expect(error?.message == "/bin/sh ran longer than 0.2 s and was stopped")
        #expect(SystemTime().monotonic() - start < 30_000_000_000)
    }

    @Test(arguments: kinds) func theReportCountsTimeAndMemory(_ kind: Namespaces) throws {
        let report = try shell("i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done", kind).run().report
        #expect(report.userSeconds > 0.02)
        #expect(report.maxMemory > 1 << 19)
    }

    @Test func aDroppedChildIsKilled() throws {
        let sleep = uniqueSleep()
        do {
            let child = try Command("sleep", [sleep]).start()
            #expect(child.pid > 0)
        }
        #expect(try processes(with: "sleep\0\(sleep)").isEmpty)
    }

    @Test(arguments: ["plain", "private"]) func aParentThatIsKilledTakesItsChildrenAlong(_ verb: String) throws {
        let sleep = uniqueSleep()
        // Private namespaces die with all in them; a plain child is one program. The parent's own words match, too.
        let program = verb == "private" ? ["/bin/sh", "-c", "sleep \(sleep) & sleep \(sleep)"] : ["/bin/sleep", sleep]
        let parent = try Command(Lab.probe, [verb] + program).start()
        #expect(try eventually { try processes(with: "sleep\0\(sleep)").count == 2 })
        Glibc.kill(parent.pid, SIGKILL)
        #expect(try eventually { try processes(with: "sleep\0\(sleep)").isEmpty })
    }

    @Test func nothingStaysOpenInTheParent() throws {
        let lab = try Lab()
        for person in Person.able { #expect(try lab.probe(person, ["descriptors"]).text == "0\n") }
    }

    @Test func aFailureIsToldWithTheCommandAndItsLastWords() throws {
        let error = #expect(throws: ForgeError.self) {
            try shell("echo it is broken; exit 2").outputOrThrow(code: .stageFailed)
        }
        #expect(error?.code == .stageFailed)
        #expect(error?.message == "/bin/sh exited with 2")
        #expect(error?.details == ["/bin/sh -c 'echo it is broken; exit 2'", "it is broken"])
    }

    @Test(arguments: [
        ("plain-1.0/x", "plain-1.0/x"), ("", "''"), ("it's", "'it'\\''s'"), ("a b", "'a b'"), ("$x", "'$x'"),
    ])
    func wordsAreQuotedForAShell(_ word: String, _ quoted: String) { #expect(word.shellQuoted == quoted) }

    @Test func pollingKeepsToItsTimeAndIgnoresClosedDescriptors() throws {
        let start = SystemTime().monotonic()
        #expect(try Poller.wait(fds: [-1, -1], timeoutMilliseconds: 50) == [false, false])
        let passed = SystemTime().monotonic() - start
        #expect(passed >= 49_000_000)
    }
}
