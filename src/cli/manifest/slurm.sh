#!/bin/bash
# The shards of one run as the tasks of one step, then their merge, whose exit code is that of the job.
# Submit it where the scenario is, with the server's connection string in the environment:
#
#     ONLYONE_MONGO_URI='mongodb://…' sbatch --export=ALL this.sh
#SBATCH --job-name={{ name }}
#SBATCH --ntasks={{ shards }}
#SBATCH --cpus-per-task=1
#SBATCH --output={{ name }}-%j.log
set -u
: "${ONLYONE_MONGO_URI:?name the MongoDB that all tasks reach}"
id="{{ name }}-${SLURM_JOB_ID:?this is a batch script for sbatch}"
out="${ONLYONE_OUT:-reports}"
# One task that ends with another code than 0 does not end the others, which have their own part to finish.
srun --ntasks={{ shards }} --kill-on-bad-exit=0 \
  onlyone run {{ scenario }} --shard auto --run-id "$id" --out "$out" --quiet{{ more }} >/dev/null
onlyone merge --out "$out" "$out/$id".shard-*-of-{{ shards }}
