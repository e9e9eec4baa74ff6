#!/bin/bash
# One node of a SLURM cluster: a training that is longer than a time limit, or that may be preempted. Before the limit,
# and on preemption, it writes a checkpoint and is queued again, which resumes it, to the same weights bit for bit.
# sbatch recipes/configs/cluster/slurm_one_node.sh --train_file tickets.csv --label_column_name team --output_dir runs/long
#SBATCH --job-name=nlp-transfer
#SBATCH --nodes=1
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=16
#SBATCH --gpus-per-node=1
#SBATCH --time=04:00:00
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=slurm-%j.log
# SIGTERM comes to this shell, which passes it on, so many seconds before the end.
#SBATCH --signal=B:TERM@180

set -u
cd "${SLURM_SUBMIT_DIR:-.}" || exit 1

stopped=
trap 'stopped=1; kill -TERM "$step" 2>/dev/null' TERM

# --processes takes the GPUs of the node; 1 also trains on processors. --resume starts where there is no checkpoint yet.
srun nlp-transfer classify --processes "${SLURM_GPUS_ON_NODE:-1}" --checkpoint_every 10 minutes --resume "$@" &
step=$!
wait "$step"
status=$?

if [ -n "$stopped" ]; then
  wait "$step" # the first wait ended with the signal; this one with the checkpoint
  scontrol requeue "$SLURM_JOB_ID"
  exit 0
fi
exit "$status"
