import ForgeBase
import Glibc
import Testing

@testable import ForgeSystem

@Suite struct TerminalTests {
    @Test func aPipeIsNoTerminal() throws {
        let file = try FileDescriptor(opening: "/dev/null")
        let terminal = Terminal(fd: file.raw)
        #expect(!terminal.isInteractive)
        #expect(!terminal.hasColors)
        #expect(terminal.columns == 80)
        #expect(terminal.styled("x", .red) == "x")
    }

    @Test func aTerminalHasColoursUnlessItIsAskedNotTo() throws {
        let leader = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC)
        try #require(leader >= 0)
        defer { close(leader) }
        // TIOCSPTLCK and TIOCGPTN of <asm-generic/ioctls.h>.
        var (locked, number): (Int32, Int32) = (0, -1)
        try #require(ioctl(leader, 0x4004_5431, &locked) == 0 && ioctl(leader, 0x8004_5430, &number) == 0)
        let follower = try FileDescriptor(opening: "/dev/pts/\(number)", flags: O_RDWR | O_NOCTTY)
        var size = winsize(ws_row: 24, ws_col: 132, ws_xpixel: 0, ws_ypixel: 0)
        _ = ioctl(leader, UInt(TIOCSWINSZ), &size)
        let plain = Terminal(fd: follower.raw) { _ in nil }
        #expect(plain.isInteractive && plain.hasColors)
        #expect(plain.columns == 132)
        #expect(plain.styled("x", .red) == "\u{1b}[31mx\u{1b}[0m")
        #expect(!Terminal(fd: follower.raw) { $0 == "NO_COLOR" ? "1" : nil }.hasColors)
        #expect(!Terminal(fd: follower.raw) { $0 == "TERM" ? "dumb" : nil }.isInteractive)
    }

    @Test func signalsArriveInThePoller() throws {
        let signals = try Signals(catching: [SIGUSR1])
        #expect(signals.next() == nil)
        kill(getpid(), SIGUSR1)
        #expect(try Poller.wait(fds: [signals.fd], timeoutMilliseconds: 10_000) == [true])
        #expect(signals.next() == SIGUSR1)
        #expect(signals.next() == nil)
    }
}
