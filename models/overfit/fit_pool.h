/*
 * Threads that take the jobs of a stage by turns. What a job writes is its own, so that results are
 * the same with any number of threads.
 */
#ifndef FIT_POOL_H
#define FIT_POOL_H

#include "fit_model.h"

typedef void (*Job)(Fit *, int job, int thread);

#ifdef _WIN32
/* One thread: MSVC has no pthread.h. */
struct Pool {
    int threads;
};

static Pool *pool_start(Fit *fit, int threads)
{
    (void)fit, (void)threads;
    Pool *pool = calloc(1, sizeof *pool);
    if (pool)
        pool->threads = 1;
    return pool;
}

static void pool_stop(Pool *pool)
{
    free(pool);
}

static void pool_run(Fit *fit, Job job, int jobs)
{
    for (int i = 0; i < jobs; i++)
        job(fit, i, 0);
}
#else
#include <pthread.h>

struct Pool {
    Fit *fit;
    Job job;
    int threads, jobs, next, busy, stage, ended;
    pthread_mutex_t lock;
    pthread_cond_t begin, end;
    pthread_t *ids;
};

typedef struct {
    Pool *pool;
    int thread;
} Worker;

/* Takes jobs till there are none; called and returns with the lock held. */
static void pool_work(Pool *pool, int thread)
{
    while (pool->next < pool->jobs) {
        int job = pool->next++;
        pthread_mutex_unlock(&pool->lock);
        pool->job(pool->fit, job, thread);
        pthread_mutex_lock(&pool->lock);
    }
}

static void *pool_thread(void *argument)
{
    Worker worker = *(Worker *)argument;
    Pool *pool = worker.pool;
    free(argument);
    pthread_mutex_lock(&pool->lock);
    int stage = 0;
    for (;;) {
        while (pool->stage == stage && !pool->ended)
            pthread_cond_wait(&pool->begin, &pool->lock);
        if (pool->ended)
            break;
        stage = pool->stage;
        pool->busy++;
        pool_work(pool, worker.thread);
        if (--pool->busy == 0)
            pthread_cond_signal(&pool->end);
    }
    pthread_mutex_unlock(&pool->lock);
    return NULL;
}

static void pool_run(Fit *fit, Job job, int jobs)
{
    Pool *pool = fit->pool;
    pthread_mutex_lock(&pool->lock);
    pool->job = job;
    pool->jobs = jobs;
    pool->next = 0;
    pool->stage++;
    if (pool->threads > 1 && jobs > 1)
        pthread_cond_broadcast(&pool->begin);
    pool_work(pool, 0);
    while (pool->busy)
        pthread_cond_wait(&pool->end, &pool->lock);
    pthread_mutex_unlock(&pool->lock);
}

static void pool_stop(Pool *pool)
{
    if (!pool)
        return;
    pthread_mutex_lock(&pool->lock);
    pool->ended = 1;
    pthread_cond_broadcast(&pool->begin);
    pthread_mutex_unlock(&pool->lock);
    for (int i = 1; i < pool->threads; i++)
        pthread_join(pool->ids[i], NULL);
    pthread_mutex_destroy(&pool->lock);
    pthread_cond_destroy(&pool->begin);
    pthread_cond_destroy(&pool->end);
    free(pool->ids);
    free(pool);
}

/* As many threads as there can be, at most those asked for; NULL without memory. */
static Pool *pool_start(Fit *fit, int threads)
{
    Pool *pool = calloc(1, sizeof *pool);
    if (!pool || !(pool->ids = calloc((size_t)threads, sizeof *pool->ids))) {
        free(pool);
        return NULL;
    }
    pool->fit = fit;
    pthread_mutex_init(&pool->lock, NULL);
    pthread_cond_init(&pool->begin, NULL);
    pthread_cond_init(&pool->end, NULL);
    for (pool->threads = 1; pool->threads < threads; pool->threads++) {
        Worker *worker = malloc(sizeof *worker);
        if (!worker)
            break;
        *worker = (Worker){pool, pool->threads};
        if (pthread_create(&pool->ids[pool->threads], NULL, pool_thread, worker)) {
            free(worker);
            break;
        }
    }
    return pool;
}
#endif
#endif
