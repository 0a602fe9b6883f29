"""What reading takes at least over a network: `python fetch.py URL FETCHED PARALLELISM` fetches pages, and parses none.

FETCHED has a line for each page that a plan requested; so many requests are in flight at once.
"""

import asyncio
import sys
from pathlib import Path

import httpx


async def main(url: str, fetched: str, parallelism: int) -> None:
    """Fetch all pages."""
    targets = iter(Path(fetched).read_text(encoding="utf-8").split())

    async def work(client: httpx.AsyncClient) -> None:
        for target in targets:
            (await client.get(target)).raise_for_status()

    async with httpx.AsyncClient(base_url=url, verify=False) as client, asyncio.TaskGroup() as group:
        for _ in range(parallelism):
            group.create_task(work(client))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
