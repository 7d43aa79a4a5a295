"""What Python runs of the zip file on a device: `agent.zip job.json`, or `agent.zip watch LIMIT_S COMMAND...`."""

import sys

if sys.argv[1] == "watch":
    from agent.watch import main

    main(sys.argv[2:])
else:
    from agent.agent import main

    main(sys.argv[1])
