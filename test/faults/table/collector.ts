import type { FaultCase } from '../case.ts';

export default [
  {
    number: 1,
    title: 'kill -9 at any moment of a run',
    expected: 'the run is interrupted or stored, its slot has one end, one run catches up',
    tier: 'demand',
    shown: [
      {
        file: 'test/faults/kill-loop.faults.ts',
        names: [
          '140 of `backup` and its git children lose nothing (lane %d)',
          '90 of its lives end so, hours apart, and each slot has one end',
        ],
      },
      {
        file: 'test/e2e/kill.test.ts',
        names: ['leaves a repository without damage, and a ledger that tells the truth'],
      },
    ],
    note: 'At every commit 12 kills; on demand 510 at random moments, whose seed is printed (`FAULTS_SEED` repeats one).',
  },
  {
    number: 2,
    title: 'kill -9 between spool and commit',
    expected: 'the reading is stored from the spool, once',
    tier: 'demand',
    shown: [
      {
        file: 'test/faults/disk-errors.faults.ts',
        names: ['kill -9 at every flush, and wherever a name is made or goes, loses nothing'],
      },
      {
        file: 'test/faults/disk-errors.test.ts',
        names: ['killed at such a call, leaves what the next one ends truthfully'],
      },
      {
        file: 'test/pipeline/run-backup.test.ts',
        names: ['a crash between any two steps leaves nothing false'],
      },
    ],
    note: 'The kill is tied to the call, so that each step between two steps of the spine is met.',
  },
  {
    number: 3,
    title: 'kill -9 between commit and ledger',
    expected: 'the commit is found by its `Run-Id`, no second one is made, the success is recorded',
    tier: 'demand',
    shown: [
      {
        file: 'test/faults/disk-errors.faults.ts',
        names: ['kill -9 at every flush, and wherever a name is made or goes, loses nothing'],
      },
      {
        file: 'test/gitstore/repository.test.ts',
        names: ['a crash between the move of main and its acknowledgement is no work of somebody else'],
      },
      {
        file: 'test/pipeline/run-backup.test.ts',
        names: ['a crash between any two steps leaves nothing false'],
      },
    ],
    note: null,
  },
  {
    number: 4,
    title: 'kill -9 of the git child',
    expected: 'the run fails or waits in the spool, its lock is cleared, the next run stores the reading',
    tier: 'demand',
    shown: [
      {
        file: 'test/faults/kill-loop.faults.ts',
        names: ['140 of `backup` and its git children lose nothing (lane %d)'],
      },
      {
        file: 'test/gitstore/repository.test.ts',
        names: ['a killed git child acknowledges nothing, and the same requests go through afterwards'],
      },
    ],
    note: 'Where git had moved main already, its commit stays, the run is failed, and `verify` notes it; the reading is stored once more.',
  },
  {
    number: 5,
    title: 'power cut right after the acknowledgement',
    expected: 'commit, sealed copy and row are there',
    tier: 'demand',
    shown: [
      {
        file: 'test/faults/power-loss.test.ts',
        names: [
          'a plain `git commit` does not survive it: the method sees what did not reach the disk',
          'what was acknowledged the moment before is there: commit, sealed copy and row',
        ],
      },
      {
        file: 'test/faults/power-loss.faults.ts',
        names: ['what was acknowledged the moment before is there: commit, sealed copy and row'],
      },
    ],
    note: 'Two cuts at every commit, twenty on demand. Needs root, loop devices and mkfs.ext4; elsewhere it is skipped and says so.',
  },
  {
    number: 6,
    title: 'power cut seven seconds after the acknowledgement',
    expected: 'the same, and `git fsck` finds nothing',
    tier: 'demand',
    shown: [
      {
        file: 'test/faults/power-loss.faults.ts',
        names: [
          'seven seconds later, when only a part of what git wrote has reached the disk, it is whole too',
        ],
      },
      {
        file: 'test/faults/power-loss.test.ts',
        names: [
          'seven seconds later, when only a part of what git wrote has reached the disk, it is whole too',
        ],
      },
    ],
    note: 'With what git does by itself, the objects are then there by name, and empty.',
  },
  {
    number: 7,
    title: 'power cut during a repack',
    expected: '`git fsck` finds nothing, every commit is there, the next one is made',
    tier: 'demand',
    shown: [
      {
        file: 'test/faults/power-loss.faults.ts',
        names: ['in the middle of a repack by hand, every commit is there and the next one is made'],
      },
      {
        file: 'test/faults/power-loss.test.ts',
        names: ['in the middle of a repack by hand, every commit is there and the next one is made'],
      },
    ],
    note: '`git gc --prune=now` by hand; the settings that make it flush stand in the repository.',
  },
  {
    number: 8,
    title: 'disk full when a reading is spooled',
    expected: 'the run fails with store.disk-full, the last good copy stays, the next run is as ever',
    tier: 'commit',
    shown: [
      {
        file: 'test/e2e/storage-faults.test.ts',
        names: [
          'a disk that fills while a device is being read: the run fails, and its row is closed when there is room again',
        ],
      },
      {
        file: 'test/gitstore/full-disk.test.ts',
        names: ['the spool without %s keeps what it has, and takes the next when there is room'],
      },
    ],
    note: 'Needs the right to mount.',
  },
  {
    number: 9,
    title: 'disk full when git writes objects',
    expected: 'nothing is acknowledged or left half-written; the reading waits in the spool',
    tier: 'commit',
    shown: [
      {
        file: 'test/gitstore/full-disk.test.ts',
        names: ['without %s takes nothing, leaves nothing half-written, and goes on when there is room'],
      },
      {
        file: 'test/e2e/storage-faults.test.ts',
        names: [
          'a repository that takes nothing: the spool grows and says so, and is stored in order, once each, without a restart',
        ],
      },
    ],
    note: 'Needs the right to mount.',
  },
  {
    number: 10,
    title: 'disk full for the audit record',
    expected: 'no run begins that could not be written down',
    tier: 'commit',
    shown: [
      {
        file: 'test/e2e/storage-faults.test.ts',
        names: [
          'a full disk: runs fail with the reason before a device is asked for anything, and the next ones are as ever',
          'a disk that fills while a device is being read: the run fails, and its row is closed when there is room again',
        ],
      },
    ],
    note: 'The audit record is the hash chain of the ledger; there is no separate journal and no degraded mode. A run that is in progress when the disk fills ends failed, and its row is closed when there is room.',
  },
  {
    number: 11,
    title: 'no inode left',
    expected: 'as with a full disk',
    tier: 'commit',
    shown: [
      {
        file: 'test/gitstore/full-disk.test.ts',
        names: [
          'without %s takes nothing, leaves nothing half-written, and goes on when there is room',
          'the spool without %s keeps what it has, and takes the next when there is room',
        ],
      },
    ],
    note: 'Needs the right to mount.',
  },
  {
    number: 12,
    title: 'EIO at the n-th flush, for all n; a full disk from the n-th write on, for all n',
    expected: 'no acknowledgement that is not kept, the next run succeeds, ledger and repository agree',
    tier: 'demand',
    shown: [
      {
        file: 'test/faults/disk-errors.faults.ts',
        names: [
          'EIO at every flush, one after the other, loses nothing',
          'a disk that is full from any write on, until there is space again, loses nothing',
        ],
      },
      {
        file: 'test/faults/disk-errors.test.ts',
        names: ['acknowledges nothing that a flush did not confirm, and the next one succeeds'],
      },
    ],
    note: 'A library before libc (`test/faults/faulty-disk.c`) fails the call, in the program and in its git children, in one count; needs a C compiler.',
  },
  {
    number: 13,
    title: 'the disk becomes read-only',
    expected: 'runs fail with store.read-only, readiness is false, both come back',
    tier: 'commit',
    shown: [
      {
        file: 'test/e2e/storage-faults.test.ts',
        names: [
          'a disk that becomes read-only: runs fail with the reason, readiness says so, and both come back',
        ],
      },
      { file: 'test/ledger/read-only.test.ts', names: ['nothing can be written, and the failure says why'] },
    ],
    note: 'In the daemon everything that is opened anew is read-only; the ledger, which it holds open, is tried on its own.',
  },
  {
    number: 14,
    title: 'no file left to open',
    expected: 'runs fail with a reason, the daemon lives and goes on',
    tier: 'commit',
    shown: [
      {
        file: 'test/e2e/storage-faults.test.ts',
        names: [
          'no file left to open: runs fail with a reason, the daemon lives, and goes on when there are some again',
        ],
      },
    ],
    note: 'By prlimit on the running daemon. ENOMEM is not injected; case 15 ends the process.',
  },
  {
    number: 15,
    title: 'the kernel kills the daemon for its memory',
    expected: 'runs in progress are interrupted, what was stored stays, the next start goes on',
    tier: 'demand',
    shown: [
      {
        file: 'test/faults/memory.faults.ts',
        names: ['loses nothing: its runs are interrupted, what was stored stays, and the next one goes on'],
      },
    ],
    note: 'A memory limit of a control group of version 1, as root; elsewhere it is skipped and says so. To the process it is the kill -9 of case 1.',
  },
  {
    number: 16,
    title: 'SIGTERM during fifty sessions',
    expected: 'those end that can, the others are aborted after 75 s, every run has its end, exit 0',
    tier: 'demand',
    shown: [
      {
        file: 'test/faults/stop.faults.ts',
        names: ['lets those end that can, ends the others in time, and leaves nothing open'],
      },
      {
        file: 'test/e2e/daemon-life.test.ts',
        names: [
          'the first SIGTERM lets open sessions end, and readiness says so meanwhile',
          'the second SIGTERM ends them, and their rows say by what',
        ],
      },
    ],
    note: null,
  },
  {
    number: 17,
    title: 'a hundred SIGHUP',
    expected: 'reloads are shared, no slot is lost',
    tier: 'commit',
    shown: [
      { file: 'test/e2e/daemon-life.test.ts', names: ['a hundred reloads in a burst lose no slot'] },
      {
        file: 'test/daemon/reload.test.ts',
        names: [
          'asked for while one is under way is shared by all who ask, and reads what lies there then',
          'is not overtaken by a later one: the newest reading is the one in use',
        ],
      },
    ],
    note: null,
  },
  {
    number: 18,
    title: 'two daemons on one state directory',
    expected: 'the second one refuses to start and names the first',
    tier: 'commit',
    shown: [
      {
        file: 'test/e2e/daemon-life.test.ts',
        names: ['keeps a second one off the same state directory, naming the process'],
      },
      {
        file: 'test/ledger/lock.test.ts',
        names: [
          'a second process is told who holds the state directory',
          'a killed holder leaves no lock behind',
        ],
      },
      {
        file: 'test/e2e/kill.test.ts',
        names: ['keeps a second backup out while one is at work, and says who holds the state'],
      },
    ],
    note: null,
  },
  {
    number: 19,
    title: 'a lock of git was left',
    expected: 'removed where it is provably ours and dead, else store.locked',
    tier: 'commit',
    shown: [
      {
        file: 'test/gitstore/repository.test.ts',
        names: [
          'a lock older than this process is removed, a younger one is not ours to remove',
          'an old lock stays while a git process works in the repository',
        ],
      },
    ],
    note: null,
  },
  {
    number: 20,
    title: 'a loose object is empty or damaged',
    expected: 'found, told and set aside; other devices go on; the next reading stores the text again',
    tier: 'commit',
    shown: [
      {
        file: 'test/gitstore/mending.test.ts',
        names: [
          'a text whose object is %s is not there any more, and is stored again by the next reading',
          'a text that comes back is stored although a damaged file of its name lies there',
          'a damaged text of one device is in no other’s way',
          'a tree of main that is damaged costs the commit that made it, which is told, and none before it',
          'a look at every object names what is wrong and which texts are lost, and is clean after the next reading',
        ],
      },
      {
        file: 'test/e2e/storage-faults.test.ts',
        names: [
          'a damaged object of one device: the others go on, and its next backup stores the text again',
        ],
      },
    ],
    note: 'A text of the past, and a damaged pack, are not repaired by themselves: docs/runbooks/ConfigBackupRepositoryUnverified.md has the commands for a remote and for a pack.',
  },
  {
    number: 21,
    title: 'refs/heads/main is empty or garbage',
    expected: 'main is where it was acknowledged, and the audit chain says so',
    tier: 'commit',
    shown: [
      {
        file: 'test/gitstore/mending.test.ts',
        names: [
          'a main %s goes back to what was acknowledged, and says so',
          'a main without our note comes back from the log of git, and without that from the ledger',
          'a main that is lost with every memory of it fails with what is wrong, and nothing is made up',
          'a HEAD of no byte is written again',
        ],
      },
      {
        file: 'test/e2e/storage-faults.test.ts',
        names: [
          'an emptied main: the next backup goes on from what was acknowledged, and the audit chain has it',
        ],
      },
    ],
    note: null,
  },
  {
    number: 22,
    title: 'history rewritten, or a commit of somebody else',
    expected: 'kept as parent, recorded, red in verify',
    tier: 'commit',
    shown: [
      {
        file: 'test/gitstore/repository.test.ts',
        names: [
          "somebody else's commit on main stays, is built upon and told once",
          'a rewritten main loses neither history: ours is kept by a ref',
          'a main that moves while a batch is written acknowledges nothing and is not overwritten',
        ],
      },
      {
        file: 'test/gitstore/mending.test.ts',
        names: [
          'somebody else’s commit that was on main when it was emptied stays',
          'a look at whether a commit could be made does not hide somebody else’s commit',
        ],
      },
      { file: 'test/e2e/verify.test.ts', names: ['after a history that was rewritten on purpose'] },
    ],
    note: 'There is no alert of its own: the chain records it, and `roundsman verify` is red.',
  },
  {
    number: 23,
    title: 'a remote is down, or refuses',
    expected: 'commits stay here and are counted, no run fails, nothing is forced',
    tier: 'commit',
    shown: [
      {
        file: 'test/e2e/push.test.ts',
        names: [
          // What they break is there after it.
          'without a daemon, a backup pushes at its end',
          'a remote that refuses fails no backup, and is told of with what to do',
          'a remote with other commits stays as it is',
        ],
      },
      {
        file: 'test/gitstore/push.test.ts',
        names: [
          'never moves a remote that has other commits: with and without denyNonFastForwards',
          'that a hook refuses is told with the words of the hook, and moves nothing',
          'tells of one that is gone, and of one that cannot be written',
        ],
      },
      {
        file: 'test/daemon/replication.test.ts',
        names: [
          'reach every remote, of which one that is down holds none of the others back',
          'to a remote that was down bring everything once it is back, and that is said once each',
          'to a remote that diverged change nothing there, and that is told',
        ],
      },
    ],
    note: null,
  },
  {
    number: 24,
    title: 'the ledger is damaged, or its write-ahead log cut',
    expected:
      'the start is refused with what to do; moved aside, it is rebuilt from commits as far as they go',
    tier: 'commit',
    shown: [
      {
        file: 'test/e2e/verify.test.ts',
        names: [
          'a damaged ledger stops a backup with what to do; moved aside, it is rebuilt, which is red until accepted',
          'a write-ahead log that lost its end is seen by the commits',
        ],
      },
      { file: 'test/ledger/ledger.test.ts', names: ['damaged, it says so and what to do'] },
    ],
    note: null,
  },
  {
    number: 25,
    title: 'a record of the chain is changed in the middle',
    expected: '`roundsman verify` names it; a person accepts it or restores',
    tier: 'commit',
    shown: [
      {
        file: 'test/verify/verify.test.ts',
        names: [
          'a record that was edited is named',
          'a hash that was edited is named',
          'is known from then on, by whom and why, and nothing else is',
        ],
      },
      {
        file: 'test/e2e/verify.test.ts',
        names: ['ends with 1 and names the record that was changed, for people and for scripts'],
      },
    ],
    note: null,
  },
  {
    number: 26,
    title: 'an audit record is deleted, edited, reordered, cut off',
    expected: '`roundsman verify` names it; a cut end is seen by tables, commits and anchors',
    tier: 'commit',
    shown: [
      {
        file: 'test/verify/verify.test.ts',
        names: [
          'a record that was deleted is named, also where the others are numbered anew',
          'several that were deleted are named',
          'two that changed places are named',
          'one that was put in between is named',
          'a chain whose end was cut off is seen by what the tables hold and by the newest commits',
          'a chain that was cut off with the rows of the tables is seen by the commits',
          'a chain that was written anew, every hash right, is seen by the commits',
          'what was told outside is held against it',
        ],
      },
      {
        file: 'test/daemon/anchor.test.ts',
        names: ['the log is told where the chain has come to: at once, then each hour in which it grew'],
      },
    ],
    note: 'The hash chain in the ledger is the audit record; there is no journal beside it.',
  },
  {
    number: 27,
    title: 'the clock jumps by a day, back, by 25 years',
    expected: 'no slot runs twice, no storm; what was jumped over is missed for the clock',
    tier: 'commit',
    shown: [
      { file: 'test/e2e/daemon.test.ts', names: ['the daemon, with its clock in our hands'] },
      {
        file: 'test/scheduler/due.test.ts',
        names: [
          'forward: missed{clock} is said, and there is no storm',
          '25 years ahead and back again: the slots that were counted as missed are made up for as they come',
        ],
      },
      {
        file: 'test/scheduler/loop.test.ts',
        names: ['that is set wrong by a day and right again invents nothing'],
      },
      {
        file: 'test/scheduler/timekeeper.test.ts',
        names: ['a jump ahead is an absence as long as the jump, without the time that really passed'],
      },
      { file: 'test/daemon/health.test.ts', names: ['takes no notice of a wall clock that jumps'] },
    ],
    note: null,
  },
  {
    number: 28,
    title: 'summer time begins and ends, in nine zones',
    expected: 'one run for each local day; Lord Howe by half an hour, Apia without a day',
    tier: 'commit',
    shown: [
      {
        file: 'test/scheduler/calendar.test.ts',
        names: [
          'comes due exactly once per local day over ten years in %s',
          'comes due at the change where the spring leaves its time out',
          'comes due the first time only where the autumn repeats its time',
          'has no slot on a day that never was',
          'are what croner says, in every zone and at every time of the year',
        ],
      },
    ],
    note: null,
  },
  {
    number: 29,
    title: 'the daemon was off for three minutes, three days, three months',
    expected: 'every slot is missed once, in a bounded number of rows; one catch-up',
    tier: 'commit',
    shown: [
      {
        file: 'test/scheduler/loop.test.ts',
        names: ['a downtime of %s misses every slot in it, once, and is caught up once'],
      },
      {
        file: 'test/scheduler/due.test.ts',
        names: [
          '3 months: 31 days of rows, then one row "and n more", then one catch-up',
          'the newest slot has a row of its own however long ago it was',
        ],
      },
      { file: 'test/e2e/daemon.test.ts', names: ['the daemon, with its clock in our hands'] },
    ],
    note: null,
  },
  {
    number: 30,
    title: 'the machine is suspended',
    expected: 'as a downtime: missed once each, one catch-up',
    tier: 'demand',
    shown: [
      {
        file: 'test/faults/standstill.faults.ts',
        names: ['suspended over two minutes, it counts what it missed once each, and catches up once'],
      },
      {
        file: 'test/scheduler/loop.test.ts',
        names: ['a process that stood still for five minutes missed what fell due in them'],
      },
      {
        file: 'test/scheduler/timekeeper.test.ts',
        names: ['a process that stood still was away, and a clock that jumped meanwhile is said besides'],
      },
    ],
    note: 'SIGSTOP: the monotonic clock goes on, as `CLOCK_BOOTTIME` would; a suspended machine whose monotonic clock stands looks like a clock that jumps, which is case 27.',
  },
  {
    number: 31,
    title: 'the event loop is blocked for 30 s',
    expected: 'the watchdog is not fed, health says why, afterwards it goes on',
    tier: 'demand',
    shown: [
      {
        file: 'test/faults/standstill.faults.ts',
        names: ['with its event loop blocked for 30 s feeds no watchdog, and goes on afterwards'],
      },
      {
        file: 'test/daemon/health.test.ts',
        names: [
          'ends when the event loop was blocked, even where everything else was in time just before',
          'ends when the scheduler stops passing, and names for how long',
        ],
      },
      { file: 'test/daemon/notify.test.ts', names: ['feeds a watchdog twice in the time that it allows'] },
    ],
    note: 'The loop is blocked through the inspector of Node; the program has no switch for it.',
  },
  {
    number: 66,
    title: 'an older backup of the collector is put back',
    expected: 'slots are closed from commits; nothing is missed or changed that was not',
    tier: 'commit',
    shown: [
      {
        file: 'test/pipeline/rebuild.test.ts',
        names: [
          'learns from the commits what was read since, once, and finds nothing to do the next time',
          'closes a run that was under way when the copy was made',
          'that was lost is made again: devices with their ids, versions, slots, names, retirements',
        ],
      },
      {
        file: 'test/gitstore/repository.test.ts',
        names: ['a main that was set back or removed loses no acknowledged commit'],
      },
    ],
    note: null,
  },
  {
    number: 67,
    title: 'main is locked or moves while fast-import writes',
    expected: 'nothing is acknowledged that is not on main; the reading is stored when it can be',
    tier: 'commit',
    shown: [
      {
        file: 'test/gitstore/repository.test.ts',
        names: [
          'an import that only warns is a failure, whatever it answered',
          'an answer without a moved ref is a failure',
          'a main that moves while a batch is written acknowledges nothing and is not overwritten',
        ],
      },
      {
        file: 'test/e2e/storage-faults.test.ts',
        names: [
          'a repository that takes nothing: the spool grows and says so, and is stored in order, once each, without a restart',
          'what waits is stored before what is read next, whoever is faster',
        ],
      },
    ],
    note: null,
  },
] satisfies FaultCase[];
