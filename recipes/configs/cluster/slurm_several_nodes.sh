#!/bin/bash
# Several nodes of a SLURM cluster, as slurm_one_node.sh: one training over all their GPUs, which see the same files at
# the same paths. Divide --per_device_train_batch_size by the number of processes to learn what one GPU would.
# sbatch recipes/configs/cluster/slurm_several_nodes.sh --train_file tickets.csv --label_column_name team --output_dir runs/long
#SBATCH --job-name=nlp-transfer
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=64
#SBATCH --gpus-per-node=8
#SBATCH --time=04:00:00
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=slurm-%j.log
#SBATCH --signal=B:TERM@180

set -u
cd "${SLURM_SUBMIT_DIR:-.}" || exit 1

nodes=$SLURM_JOB_NUM_NODES
processes=$((nodes * ${SLURM_GPUS_ON_NODE:-1}))
address=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
port=$((20000 + SLURM_JOB_ID % 20000)) # so that two jobs on one node do not meet

stopped=
trap 'stopped=1; kill -TERM "$step" 2>/dev/null' TERM

# SLURM_NODEID differs between the nodes: the shell that srun starts on each of them reads it.
# shellcheck disable=SC2016
srun --kill-on-bad-exit=1 bash -c '
  exec accelerate launch --multi_gpu --num_machines "$0" --num_processes "$1" --machine_rank "$SLURM_NODEID" \
    --main_process_ip "$2" --main_process_port "$3" \
    recipes/classify.py "${@:4}"
' "$nodes" "$processes" "$address" "$port" --checkpoint_every 10 minutes --resume "$@" &
step=$!
wait "$step"
status=$?

if [ -n "$stopped" ]; then
  wait "$step"
  scontrol requeue "$SLURM_JOB_ID"
  exit 0
fi
exit "$status"
